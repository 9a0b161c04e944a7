package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"html"
	"math/big"
	mrand "math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/MicahParks/jwkset"
)

// A shape is a text that contains or describes a public key. readMaterial must either read
// that key or refuse the text.
type shape struct {
	why, text string
	read      bool
}

// each formats the bytes of b one by one.
func each(b []byte, format string) (all []string) {
	for _, c := range b {
		all = append(all, fmt.Sprintf(format, c))
	}
	return all
}

// publicShapes returns a public key in the forms in which people keep one.
func publicShapes(t testing.TB, p pair) []shape {
	t.Helper()
	block, _ := pem.Decode([]byte(p.public))
	der := block.Bytes
	cert := certificate(t, p)
	certPEM := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}))
	privateBlock, _ := pem.Decode([]byte(p.private))
	b64, certB64 := base64.StdEncoding.EncodeToString(der), base64.StdEncoding.EncodeToString(cert)
	body := strings.Join(strings.Split(strings.TrimSpace(p.public), "\n")[1:], "\n")
	body = body[:strings.Index(body, "\n-----END")]
	jwk, oneLine := jwkText(t, p), strings.ReplaceAll(strings.TrimSpace(p.public), "\n", " ")
	private := jwkPrivate(t, p)
	ssh := sshLine(t, p)
	sshBlob := strings.Fields(ssh)[1]
	indent := func(text string) string { return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") }
	utf16le := func(text string, bom bool) string {
		var b []byte
		if bom {
			b = []byte{0xff, 0xfe}
		}
		for _, u := range utf16.Encode([]rune(text)) {
			b = binary.LittleEndian.AppendUint16(b, u)
		}
		return string(b)
	}
	utf16be := func(text string) string {
		b := []byte{0xfe, 0xff}
		for _, u := range utf16.Encode([]rune(text)) {
			b = binary.BigEndian.AppendUint16(b, u)
		}
		return string(b)
	}
	colons := func(b []byte) string {
		return strings.TrimSuffix(fmt.Sprintf("% x", b), " ")
	}
	shapes := []shape{
		{"PEM", p.public, true},
		{"PEM without its last line end", strings.TrimSpace(p.public), true},
		{"PEM after a byte order mark", "\uFEFF" + p.public, true},
		{"PEM with CRLF", strings.ReplaceAll(p.public, "\n", "\r\n"), true},
		{"PEM with CR", strings.ReplaceAll(p.public, "\n", "\r"), true},
		{"PEM that is indented", indent(p.public), true},
		{"PEM after attributes", "Bag Attributes\n    friendlyName: hub\n    localKeyID: 01 02\nKey Attributes: <No Attributes>\n" + p.public, true},
		{"PEM with text around", "# the public key\n" + p.public + "\n# ends here\n", true},
		{"PEM with \\n for line ends", strings.ReplaceAll(p.public, "\n", `\n`), true},
		{"PEM with \\r\\n for line ends", strings.ReplaceAll(p.public, "\n", `\r\n`), true},
		{"PEM twice", p.public + p.public, true},
		{"a certificate", certPEM, true},
		{"a certificate after openssl x509 -text", opensslText(cert) + certPEM, true},
		{"a certificate after attributes and a byte order mark", "\uFEFFBag Attributes\r\n    localKeyID: 01\r\n" + strings.ReplaceAll(certPEM, "\n", "\r\n"), true},
		{"a JWK", jwk, true},
		{"a JWK after a byte order mark", "\uFEFF " + jwk + "\r\n", true},
		{"a JWK in lines", indentJSON(t, jwk), true},
		{"a JWK Set", `{"keys":[` + jwk + `]}`, true},

		{"PEM on one line", oneLine, false},
		{"PEM in quotes", `"` + p.public + `"`, false},
		{"PEM in YAML", "key: " + oneLine, false},
		{"PEM without its first line", strings.SplitN(p.public, "\n", 2)[1], false},
		{"PEM without its last line", p.public[:strings.Index(p.public, "-----END")], false},
		{"PEM with half of its base64", p.public[:len(p.public)/2], false},
		{"PEM and one that is damaged", p.public + strings.Replace(p.public, "M", "!", 1), false},
		{"PEM with spaces in its marks", strings.ReplaceAll(p.public, "-----", "----- "), false},
		{"PEM with fewer hyphens", strings.ReplaceAll(p.public, "-----", "----"), false},
		{"PEM with dashes of a word processor", strings.ReplaceAll(p.public, "-----", "—–"), false},
		{"PEM without its marks", body, false},
		{"PEM without its marks, indented", indent(body), false},
		{"PEM in lower case marks", strings.NewReplacer("BEGIN PUBLIC KEY", "begin public key", "END PUBLIC KEY", "end public key").Replace(p.public), false},
		{"PEM in base64", base64.StdEncoding.EncodeToString([]byte(p.public)), false},
		{"PEM in base64 in lines", wrapLines(base64.StdEncoding.EncodeToString([]byte(p.public)), 76), false},
		{"PEM in base64 twice", base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(p.public)))), false},
		{"PEM in hex", hex.EncodeToString([]byte(p.public)), false},
		{"PEM in percent-encoding", url.QueryEscape(p.public), false},
		{"PEM with each byte in percent-encoding", strings.Join(each([]byte(p.public), "%%%02X"), ""), false},
		{"PEM in UTF-16", utf16le(p.public, true), false},
		{"PEM in big-endian UTF-16", utf16be(p.public), false},
		{"PEM in UTF-16 without a mark", utf16le(p.public, false), false},
		{"PEM of a private key", p.private, false},
		{"PEM of a private key after attributes", "Bag Attributes\n    x: y\n" + p.private, false},
		{"PEM of a private key beside a certificate", certPEM + p.private, false},
		{"PEM of an encrypted private key", strings.ReplaceAll(p.private, "PRIVATE KEY", "ENCRYPTED PRIVATE KEY"), false},
		{"PEM of a request", strings.ReplaceAll(p.public, "PUBLIC KEY", "CERTIFICATE REQUEST"), false},
		{"PGP armour", strings.ReplaceAll(p.public, "PUBLIC KEY", "PGP PUBLIC KEY BLOCK"), false},
		{"PGP armour with a version and a checksum", "-----BEGIN PGP PUBLIC KEY BLOCK-----\nVersion: GnuPG v2\n\nmQENBFf8SVgBCADRZ3pfsuqvJLTHBvDKsj6GsPqhKvpRUpnIwcKvxDvvNlhzsyOM\n=Hl8f\n-----END PGP PUBLIC KEY BLOCK-----\n", false},
		{"PGP without its armour", "mDMEZfVqURYJKwYBBAHaRw8BAQdAq0T9gkXJ7k8a3aF2bA1yK6q8mO0yW8y7cO3lY5y1xYG0", false},
		{"PGP, RSA, without its armour", "mQENBFf8SVgBCADRZ3pfsuqvJLTHBvDKsj6GsPqhKvpRUpnIwcKvxDvvNlhzsyOM", false},
		{"DER", string(der), false},
		{"DER in base64", b64, false},
		{"DER in base64 without padding", strings.TrimRight(b64, "="), false},
		{"DER in base64url", base64.RawURLEncoding.EncodeToString(der), false},
		{"DER in base64 in lines with CRLF", strings.ReplaceAll(wrapLines(b64, 64), "\n", "\r\n"), false},
		{"DER in base64 after a byte order mark", "\uFEFF" + b64, false},
		{"DER in base64 in a DKIM record", "v=DKIM1; k=rsa; p=" + b64, false},
		{"DER in base64 behind letters", "hubkey" + b64, false},
		{"DER in base64, cut off", b64[:48], false},
		{"DER in base64 twice", base64.StdEncoding.EncodeToString([]byte(b64)), false},
		{"DER in base64 in quotes", "\"" + strings.Join(strings.Split(body, "\n"), "\" +\n\"") + "\"", false},
		{"DER in hex", hex.EncodeToString(der), false},
		{"DER in upper case hex", strings.ToUpper(hex.EncodeToString(der)), false},
		{"DER in hex behind a digit", "f" + hex.EncodeToString(der), false},
		{"DER in hex with 0x", "0x" + hex.EncodeToString(der), false},
		{"DER in hex with colons", strings.ReplaceAll(colons(der), " ", ":"), false},
		{"DER in hex with spaces", colons(der), false},
		{"DER in hex with commas", strings.ReplaceAll(colons(der), " ", ","), false},
		{"DER in hex with hyphens", strings.ReplaceAll(colons(der), " ", "-"), false},
		{"DER in percent-encoding", "%" + strings.ReplaceAll(colons(der), " ", "%"), false},
		{"DER as a string in C", `\x` + strings.ReplaceAll(colons(der), " ", `\x`), false},
		{"DER as a string in C, octal", strings.Join(each(der, `\%03o`), ""), false},
		{"DER as an array in C", "{ " + strings.Join(each(der, "0x%02x"), ", ") + " }", false},
		{"DER as a list of bytes", "[" + strings.Join(each(der, "%d"), ",") + "]", false},
		{"DER as numbers", strings.Join(each(der, "%d"), " "), false},
		{"DER of a certificate", string(cert), false},
		{"DER of a certificate in base64", certB64, false},
		{"DER of a certificate in base64, cut off", certB64[:100], false},
		{"DER of a private key", string(privateBlock.Bytes), false},
		{"DER of a private key in base64", base64.StdEncoding.EncodeToString(privateBlock.Bytes), false},
		{"openssl x509 -text", opensslText(cert), false},
		{"openssl pkey -text", "Public-Key: (2048 bit)\nModulus:\n    00:" + strings.ReplaceAll(colons(der), " ", ":") + "\nExponent: 65537 (0x10001)\n", false},
		{"openssl rsa -modulus", "Modulus=" + strings.ToUpper(hex.EncodeToString(der[30:])), false},
		{"openssl x509 -fingerprint", "sha256 Fingerprint=" + strings.ReplaceAll(strings.ToUpper(colons(der[:32])), " ", ":"), false},
		{"SSH", ssh, false},
		{"SSH with a comment", ssh + " ann@host", false},
		{"SSH after a byte order mark", "\uFEFF" + ssh, false},
		{"SSH with options", `command="/bin/true",no-pty ` + ssh, false},
		{"SSH of a known host", "host.example,192.0.2.1 " + ssh, false},
		{"SSH, the blob alone", sshBlob, false},
		{"SSH, the blob behind letters", "k" + sshBlob, false},
		{"SSH on two lines", ssh + "\n" + ssh + "\n", false},
		{"SSH in base64", base64.StdEncoding.EncodeToString([]byte(ssh)), false},
		{"SSH, RFC 4716", "---- BEGIN SSH2 PUBLIC KEY ----\nComment: \"hub\"\n" + wrapLines(sshBlob, 70) + "\n---- END SSH2 PUBLIC KEY ----\n", false},
		{"SSH, PuTTY", "PuTTY-User-Key-File-3: ssh-rsa\nEncryption: none\nComment: hub\nPublic-Lines: 6\n" + wrapLines(sshBlob, 64) + "\n", false},
		{"a JWK in an array", "[" + jwk + "]", false},
		{"a JWK with a comma too many", strings.TrimSuffix(jwk, "}") + ",}", false},
		{"a JWK that breaks off", jwk[:len(jwk)-2], false},
		{"a JWK that begins late", jwk[1:], false},
		{"a JWK in single quotes", strings.ReplaceAll(jwk, `"`, `'`), false},
		{"a JWK without quotes", strings.ReplaceAll(jwk, `"`, ``), false},
		{"a JWK in a string", strings.ReplaceAll(jwk, `"`, `\"`), false},
		{"a JWK with text before it", "key: " + jwk, false},
		{"a JWK with a comment behind", jwk + " // the key", false},
		{"a JWK twice", jwk + "\n" + jwk, false},
		{"a JWK in YAML", strings.NewReplacer("{", "", "}", "", ",", "\n", `"`, "", ":", ": ").Replace(jwk), false},
		{"a JWK in percent-encoding", url.QueryEscape(jwk), false},
		{"a JWK in HTML", html.EscapeString(jwk), false},
		{"a JWK with escaped quotes", strings.ReplaceAll(jwk, `"`, `\u0022`), false},
		{"a JWK in base64", base64.RawURLEncoding.EncodeToString([]byte(jwk)), false},
		{"a JWK with another case", strings.Replace(jwk, `"kty"`, `"KTY"`, 1), false},
		{"a JWK with a name twice", strings.Replace(jwk, `{`, `{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",`, 1), false},
		{"a JWK Set in another case", `{"KEYS":[` + jwk + `]}`, false},
		{"a JWK Set with a comma too many", `{"keys":[` + jwk + `,]}`, false},
		{"a JWK Set in an array", `[{"keys":[` + jwk + `]}]`, false},
		{"a JWK of a private key", private, false},
		{"an object of certificates", `{"kid1":"` + strings.ReplaceAll(certPEM, "\n", `\n`) + `"}`, false},
		{"XML", "<RSAKeyValue><Modulus>" + base64.StdEncoding.EncodeToString(der[33:]) + "</Modulus></RSAKeyValue>", false},
		{"SAML metadata", `<EntityDescriptor><ds:X509Certificate>` + certB64 + "</ds:X509Certificate></EntityDescriptor>", false},
		{"an address", "https://login.example/.well-known/jwks.json", false},
		{"a file's name", "/etc/tidings/keys/the-public-key.pem", false},
		{"a file's name without a folder", "the-public-key-of-our-issuer.pub", false},
		{"an age recipient", "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p", false},
		{"a PASETO key", "k4.public.Hrnbu7wEfAP9cGBOAHHwmH4Wsot1ciXBHwBBXQ4gsaI", false},
	}
	if k, ok := p.signer.Public().(*rsa.PublicKey); ok {
		der := x509.MarshalPKCS1PublicKey(k)
		shapes = append(shapes,
			shape{"PEM, PKCS #1", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: der})), true},
			shape{"PKCS #1", string(der), false},
			shape{"PKCS #1 in base64", base64.StdEncoding.EncodeToString(der), false},
			shape{"PKCS #1 in base64 behind letters", "ab" + base64.StdEncoding.EncodeToString(der), false},
			shape{"PKCS #1 in hex", hex.EncodeToString(der), false},
		)
	}
	return shapes
}

func certificate(t testing.TB, p pair) []byte {
	t.Helper()
	c := &x509.Certificate{SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "hub"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, p.signer.Public(), p.signer)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func opensslText(cert []byte) string {
	return "Certificate:\n    Data:\n        Version: 3 (0x2)\n        Serial Number: 7 (0x7)\n        Signature Algorithm: sha256WithRSAEncryption\n    Signature Value:\n        " +
		strings.ReplaceAll(fmt.Sprintf("% x", cert[:18]), " ", ":") + "\n"
}

func jwkText(t testing.TB, p pair) string    { return jwkOf(t, p.signer.Public(), false) }
func jwkPrivate(t testing.TB, p pair) string { return jwkOf(t, p.signer, true) }
func indentJSON(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(s), "\t", "\t"); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func jwkOf(t testing.TB, key any, private bool) string {
	t.Helper()
	jwk, err := jwkset.NewJWKFromKey(key, jwkset.JWKOptions{Marshal: jwkset.JWKMarshalOptions{Private: private}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(jwk.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sshLine returns a key in OpenSSH's form (RFC 4253 §6.6, RFC 5656 §3.1, RFC 8709 §4).
func sshLine(t testing.TB, p pair) string {
	t.Helper()
	var b []byte
	add := func(s []byte) { b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...) }
	var name string
	switch k := p.signer.Public().(type) {
	case *rsa.PublicKey:
		name = "ssh-rsa"
		add([]byte(name))
		add([]byte{1, 0, 1})
		add(append([]byte{0}, k.N.Bytes()...))
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		name = "ecdsa-sha2-nistp256"
		add([]byte(name))
		add([]byte("nistp256"))
		add(point)
	case ed25519.PublicKey:
		name = "ssh-ed25519"
		add([]byte(name))
		add(k)
	}
	return name + " " + base64.StdEncoding.EncodeToString(b)
}

func wrapLines(s string, n int) string {
	var lines []string
	for ; len(s) > n; s = s[n:] {
		lines = append(lines, s[:n])
	}
	return strings.Join(append(lines, s), "\n")
}

// attack signs tokens with public text, as it is and as a hub might have trimmed it, and
// reports one that keys accept.
func attack(t testing.TB, keys []Key, text string) {
	t.Helper()
	for _, bytes := range []string{text, strings.TrimSpace(text), strings.TrimRight(text, "\r\n"), strings.Trim(text, "\uFEFF\r\n"), text + "\n"} {
		if _, err := publish(t, Options{PublisherKeys: keys}, forge(t, map[string]any{"alg": "HS256"}, hs256(bytes))); err == nil {
			t.Errorf("%.60q signs tokens", bytes)
		}
	}
}

// A public key in any form is never taken for a secret: it is read as a public key, or
// refused with an explanation.
func TestPublicKeysAreNoSecrets(t *testing.T) {
	for name, p := range map[string]pair{"RSA": rsaPair(t, 2048), "EC": ecPair(t, elliptic.P256()), "Ed25519": edPair(t)} {
		for _, s := range publicShapes(t, p) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(s.text), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, given := range []string{s.text, "@" + path} { // as a flag or variable, and as a file
				text, _, err := ReadKey(given)
				if err != nil {
					t.Fatal(err)
				}
				keys, err := ParseKeys(text, nil)
				if (err == nil) != s.read {
					t.Errorf("%s, %s: %v; want it read: %v", name, s.why, err, s.read)
				}
				if err == nil {
					attack(t, keys, s.text)
					token := mint(t, p.private, "")
					if _, err := publish(t, Options{PublisherKeys: keys}, token); err != nil {
						t.Errorf("%s, %s: its own tokens: %v", name, s.why, err)
					}
				} else if !strings.Contains(err.Error(), ":") {
					t.Errorf("%s, %s: %v; want a sentence that says what to do", name, s.why, err)
				}
				if strings.Contains(s.why, "private") && strings.Contains(s.why, "PEM") && !strings.Contains(err.Error(), "private") {
					t.Errorf("%s, %s: %v; want an error that says so", name, s.why, err)
				}
				if _, err := ParseAPIKeys(text); err == nil {
					t.Errorf("%s, %s: API keys", name, s.why)
				}
				if _, err := ParseKeys(SecretPrefix+text, nil); err != nil && len(text) >= minSecret {
					t.Errorf("%s, %s, with the prefix: %v", name, s.why, err)
				}
			}
		}
	}
}

// Common secrets need no prefix, and are used unchanged.
func TestSecrets(t *testing.T) {
	secrets := []string{
		secret, "!ChangeThisMercureHubJWTSecretKey!", "correct horse battery staple, and two more words",
		"{curly} and [square] brackets begin this one", "[square] brackets, or {curly}, begin this", "}]<>{[ everything a keyboard has ~`!@#$%^&*()",
		"---a passphrase between hyphens, of some length---", "ein Paßwort mit Umlauten: äöüÄÖÜ, und ß", "一个很长的密码，足够三十二个字节，没有别的意思", "with a tab\tin the middle of the secret",
		"in the end, this is the key to everything", "the certificate hangs on a wall in my office", "password=hunter2;hunter2;hunter2;hunter2", "my-public-key-is-not-this-but-a-secret",
		"/var/lib is where I keep this very secret thing", "550e8400-e29b-41d4-a716-446655440000", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		"dGhpcyBpcyBhIHBhc3NwaHJhc2UgaW4gYmFzZTY0LCBhcyBzb21lIGRvIGl0", "\U0001F469\u200d\U0001F4BB emoji with a joiner, of thirty-two bytes",
		strings.Repeat("x", 4096),
	}
	rng := mrand.NewChaCha8([32]byte{1})
	for i := range 250 {
		b := make([]byte, 24+i%100)
		_, _ = rng.Read(b)
		secrets = append(secrets, base64.StdEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b), wrapLines(base64.StdEncoding.EncodeToString(b), 64), hex.EncodeToString(b))
	}
	for _, s := range secrets {
		keys, err := ParseKeys(s, nil)
		if err != nil {
			t.Errorf("%q: %v", s, err)
			continue
		}
		if !keys[0].Secret() || string(keys[0].verify.([]byte)) != s {
			t.Errorf("%q is read as %v", s, keys)
		}
		if one := strings.Join(strings.Fields(s), ""); len(one) >= minSecret {
			if _, err := ParseAPIKeys(one + " certificate:renewed keys/{kty}"); err != nil {
				t.Errorf("%q as an API key: %v", one, err)
			}
		}
	}
}

// With the prefix, any text is a secret, and the same one for signing and verifying.
func TestSecretPrefix(t *testing.T) {
	p := edPair(t)
	text := SecretPrefix + p.public
	if _, err := publish(t, Options{PublisherKeys: mustParse(t, text)}, mint(t, text, "")); err != nil {
		t.Error(err)
	}
	if _, err := publish(t, Options{PublisherKeys: mustParse(t, text)}, forge(t, map[string]any{"alg": "HS256"}, hs256(p.public))); err != nil {
		t.Error(err)
	}
	if _, err := ParseKeys(SecretPrefix+"short", nil); err == nil {
		t.Error("the prefix counts towards the length")
	}
	const api = "ssh-rsa-is-how-this-one-begins-that-is-a-secret"
	keys, err := ParseAPIKeys(SecretPrefix + api + " news")
	if err != nil || keys.grant(api) == nil || keys.grant(SecretPrefix+api) != nil {
		t.Errorf("%v, %v", keys, err)
	}
	if _, err := ParseAPIKeys(api); err == nil {
		t.Error("a key that looks like another needs no prefix")
	}
}

// Signing recognises keys in the same way as verifying.
func TestSigningKeys(t *testing.T) {
	p, ed := ecPair(t, elliptic.P256()), edPair(t)
	for _, tt := range []struct {
		why, key, public string // public "": the key cannot sign
	}{
		{"PEM", p.private, p.public},
		{"PEM after a byte order mark", "\uFEFF" + p.private, p.public},
		{"PEM after attributes", "Bag Attributes\n    x: y\n" + p.private, p.public},
		{"PEM after its curve", "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" + p.private, p.public},
		{"PEM with \\n for line ends", strings.ReplaceAll(p.private, "\n", `\n`), p.public},
		{"a JWK", jwkPrivate(t, ed), ed.public},
		{"a JWK of a secret", jwkOf(t, []byte(secret), true), secret},
		{"the public PEM", p.public, ""},
		{"the public JWK", jwkText(t, p), ""},
		{"SSH", sshLine(t, p), ""},
		{"a JWK that breaks off", jwkPrivate(t, ed)[:60], ""},
	} {
		token, err := Mint(claims(), tt.key, "")
		if (err == nil) != (tt.public != "") {
			t.Errorf("%s: %v", tt.why, err)
		}
		if err == nil {
			if _, err := publish(t, Options{PublisherKeys: mustParse(t, tt.public)}, token); err != nil {
				t.Errorf("%s: %v", tt.why, err)
			}
		}
	}
}

// FuzzKeyText surrounds public keys in all their forms with other text, and signs with the
// whole. No hub may take that for a secret.
func FuzzKeyText(f *testing.F) {
	var shapes []shape
	for _, p := range []pair{rsaPair(f, 2048), ecPair(f, elliptic.P256()), edPair(f)} {
		shapes = append(shapes, publicShapes(f, p)...)
	}
	for i := range shapes {
		f.Add(uint16(i), "", "")
	}
	f.Add(uint16(0), "\uFEFF\r\n", "\n\n")
	f.Add(uint16(7), "prefix ", " suffix")
	f.Add(uint16(40), "a+/_-", "==")
	f.Fuzz(func(t *testing.T, i uint16, before, behind string) {
		s := shapes[int(i)%len(shapes)]
		if strings.HasPrefix(s.why, "PGP without") || strings.HasPrefix(s.why, "PGP, RSA") || strings.HasPrefix(s.why, "a PASETO") ||
			strings.HasPrefix(s.why, "an a") || strings.HasPrefix(s.why, "a file") || strings.HasPrefix(before, SecretPrefix) {
			return // readMaterial recognises these by their beginning
		}
		text := before + s.text + behind
		keys, err := ParseKeys(text, nil)
		if err == nil {
			for _, k := range keys {
				if k.Secret() {
					t.Fatalf("%s: %q is a secret", s.why, text)
				}
			}
		}
		_, _ = ParseAPIKeys(text)
		_, _, _ = signingKey(text)
	})
}
