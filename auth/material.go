package auth

import (
	"encoding/pem"
	"errors"
	"fmt"
	"html"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/MicahParks/jwkset"
)

// SecretPrefix marks the rest of a key's text as a secret, even if it looks like another
// kind of key.
const SecretPrefix = "secret:"

// ReadKey returns text itself, or the contents of FILE if text is @FILE. A
// [SecretPrefix] may precede the @, and then precedes the contents. ReadKey removes byte
// order marks and line ends, which editors and shells add, from both ends, and names
// them in dropped.
func ReadKey(text string) (key, dropped string, err error) {
	prefix := ""
	if rest, ok := strings.CutPrefix(text, SecretPrefix); ok {
		prefix, text = SecretPrefix, rest
	}
	path, isFile := strings.CutPrefix(text, "@")
	if isFile {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", "", err
		}
		text = string(b)
	}
	key, dropped = trimEnds(text)
	if isFile && key == "" {
		return "", "", fmt.Errorf("%s is empty", path)
	}
	return prefix + key, dropped, nil
}

const byteOrderMark = "\uFEFF"

func trimEnds(text string) (trimmed, dropped string) {
	trimmed = strings.Trim(text, byteOrderMark+"\r\n")
	ends := strings.Replace(text, trimmed, "", 1)
	var names []string
	if strings.Contains(ends, byteOrderMark) {
		names = append(names, "a byte order mark")
	}
	if strings.ContainsAny(ends, "\r\n") {
		names = append(names, "line ends")
	}
	return trimmed, strings.Join(names, " and ")
}

// material is the parsed text of a key. One field is set.
type material struct {
	secret []byte
	blocks []*pem.Block
	jwks   []jwkset.JWK
}

// readMaterial parses the text of a key. Text counts as a secret only if it looks like
// nothing else: if a public key passed for a secret, everybody who has it could sign
// tokens.
func readMaterial(text string) (m material, err error) {
	if secret, ok := strings.CutPrefix(text, SecretPrefix); ok {
		return material{secret: []byte(secret)}, nil
	}
	plain := unwrap(text)
	switch {
	case pemMark.MatchString(plain):
		m.blocks, err = readPEM(plain)
		return m, err
	case strings.HasPrefix(plain, "{") && jsonMark.MatchString(plain):
		m.jwks, err = readJWKs([]byte(plain))
		return m, err
	}
	if err := checkSecret(text); err != nil {
		return m, err
	}
	return material{secret: []byte(text)}, nil
}

// unwrap undoes common changes to PEM and JSON: a byte order mark, other line ends,
// including ones spelled \n as in .env files, and indentation.
func unwrap(text string) string {
	text = strings.NewReplacer(byteOrderMark, "", "\r\n", "\n", "\r", "\n", `\r\n`, "\n", `\n`, "\n").Replace(text)
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimSpace(line)
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// readPEM returns every block of text. There may be other text between them.
func readPEM(text string) (blocks []*pem.Block, err error) {
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		blocks = append(blocks, block)
	}
	// The decoder skips blocks that it cannot read.
	if len(blocks) == 0 || len(blocks) != strings.Count(text, "BEGIN ") {
		return nil, errors.New("this looks like a key in PEM or another armour, but cannot be read as PEM: give it with a line -----BEGIN …-----, lines of base64 and a line -----END …-----" + orSecret)
	}
	return blocks, nil
}

const orSecret = "; write a secret that only looks like this as secret:KEY or secret:@FILE"

// checkSecret returns an error if text is not clearly a secret.
func checkSecret(text string) error {
	if what := looksLike(text); what != "" {
		return errors.New("this looks like " + what + orSecret)
	}
	switch {
	case !isText(text):
		return errors.New("this is not text, so it may be a key in a binary format, or text in UTF-16: give a public key as PEM (openssl pkey -pubin -inform DER), text in UTF-8, and a secret of any bytes as secret:@FILE")
	case strings.ContainsAny(text, "\r\n") && !wrapped.MatchString(text):
		return errors.New("this has several lines, but is neither PEM nor a JWK: a secret is one line of text, or base64 in several; write any other as secret:@FILE")
	}
	return nil
}

func isText(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool {
		return r != '\t' && r != '\r' && r != '\n' && (unicode.IsControl(r) || string(r) == byteOrderMark)
	})
}

var (
	pemMark  = regexp.MustCompile(`(?i:-{2,}\s*(begin|end)\b)|\b(BEGIN|END) [A-Z0-9 ]*(KEY|CERTIFICATE|REQUEST|PARAMETERS|CRL|PGP|PKCS7|CMS)\b`)
	jsonMark = regexp.MustCompile(`^\s*[\[{]\s*["'{\[}]`)
	sshMark  = regexp.MustCompile(`\b(ssh-(rsa|dss|ed25519|ed448)|ecdsa-sha2-nistp|sk-(ssh|ecdsa)-)`)
	wrapped  = regexp.MustCompile(`^([A-Za-z0-9+/_-]+={0,2}\r?\n?)+$`) // base64 in lines
)

const (
	likeSSH = "an SSH public key, which anybody may read: give it as PEM (ssh-keygen -e -m PKCS8 -f FILE)"
	likePEM = "a key or certificate in PEM: give it as it is, with its -----BEGIN and -----END lines"
	likeDER = "a key or certificate in DER, or DER in base64 or hex: give it as PEM (openssl pkey -pubin -inform DER, or openssl x509 -inform DER)"
)

// shapes are patterns of public keys and of texts about them.
var shapes = []struct {
	pattern *regexp.Regexp
	what    string
}{
	{pemMark, likePEM},
	{sshMark, likeSSH},
	{regexp.MustCompile(`\bkty\b\W{0,4}[:=]|"(keys|x5c|jwks?)\W{0,3}:`), `a JWK, or a JWK Set, that is not whole JSON by itself: give the JSON alone, one object or {"keys":[…]}`},
	{jsonMark, `JSON that is neither a JWK nor a JWK Set: give one object with its kty, or {"keys":[…]}`},
	{regexp.MustCompile(`(?i)<(\?xml|\w*:?(RSAKeyValue|Modulus|KeyInfo|X509\w*|Entit(y|ies)Descriptor))\b`), "a key in XML: give it as PEM"},
	{regexp.MustCompile(`(?i)\b(public[ _-]?key|certificate|modulus|fingerprint)\w*\s*[:=]`), "a program's description of a key or certificate: give the key itself, as PEM"},
	{regexp.MustCompile(`^(age1[0-9a-z]{50,}|k[1-4]\.public\.|did:key:)`), "a public key that verifies no JWT: give a secret, or a public key as PEM or JWK"},
	{regexp.MustCompile(`(?i)^(https?|file):`), "an address, which is not a secret: give the address of a key set as --jwks URL, and a file as @FILE"},
	{regexp.MustCompile(`(?i)^\S+\.(pem|crt|cer|der|pub|key|jwks?|json|csr|p7b|p12|pfx|ppk|asc|gpg)$`), "a file name, which is not a secret: write @FILE to read the file"},
}

// looksLike describes the kind of key that text looks like, and how to give that to the
// hub. It returns "" if text looks like a secret.
func looksLike(text string) string {
	for _, text := range slices.Compact([]string{text, unescape(text)}) {
		for _, s := range shapes {
			if s.pattern.MatchString(strings.TrimSpace(text)) {
				return s.what
			}
		}
		if what := encoded(text, 3); what != "" {
			return what
		}
	}
	return ""
}

var escapes = regexp.MustCompile(`(?i)%[0-9a-f]{2}|\\x[0-9a-f]{2}|\\u00[0-9a-f]{2}|\\[0-3][0-7]{2}`)

// unescape undoes the escapes of URLs, HTML, JSON and C, in which templates and shells may
// pass keys on.
func unescape(text string) string {
	return escapes.ReplaceAllStringFunc(html.UnescapeString(text), func(escape string) string {
		base, digits := 16, escape[len(escape)-2:]
		if escape[0] == '\\' && len(escape) == 4 && escape[1] <= '3' {
			base, digits = 8, escape[1:]
		}
		b, _ := strconv.ParseUint(digits, base, 8) // digits has no other characters
		return string([]byte{byte(b)})
	})
}

var (
	base64Run = regexp.MustCompile(`[A-Za-z0-9+/_-]{32,}`)
	hexRun    = regexp.MustCompile(`(?i)((0x)?[0-9a-f]{2}[:;, -]{0,2}){24,}`)
	bytesRun  = regexp.MustCompile(`([0-9]{1,3}[;, ]{1,2}){24,}[0-9]{1,3}`)
	spaces    = strings.NewReplacer(" ", "", "\t", "", "\r", "", "\n", "", byteOrderMark, "")
)

// encoded looks for a key in the bytes of text, and in what text contains as base64, hex
// or a list of bytes, nested up to depth times.
func encoded(text string, depth int) string {
	if what := binaryKey([]byte(text)); what != "" {
		return what
	}
	if depth == 0 {
		return ""
	}
	for _, text := range slices.Compact([]string{text, spaces.Replace(text), spaces.Replace(unwrap(text))}) {
		for _, run := range base64Run.FindAllString(text, -1) {
			for skip := range 4 { // the run may begin with letters that are not part of it
				if what := decoded(fromBase64(run[skip:]), depth-1); what != "" {
					return what
				}
			}
		}
		for _, run := range hexRun.FindAllString(text, -1) {
			for skip := range 2 {
				if what := decoded(fromHex(run[skip:]), depth-1); what != "" {
					return what
				}
			}
		}
		for _, run := range bytesRun.FindAllString(text, -1) {
			if what := decoded(fromDecimal(run), depth-1); what != "" {
				return what
			}
		}
	}
	return ""
}

// decoded looks for a key in bytes that were decoded.
func decoded(b []byte, depth int) string {
	if text := string(b); isText(text) {
		for _, s := range shapes {
			if s.pattern.MatchString(text) {
				return s.what + ", not in base64"
			}
		}
	}
	return encoded(string(b), depth)
}
