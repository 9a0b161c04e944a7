package auth

import (
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"
)

// The patterns match bytes, each written as the rune of its value.
var (
	// derKey matches DER (X.690) that begins like a key or certificate, or contains an
	// object identifier that only these have.
	derKey = regexp.MustCompile(`(?s)` + strings.Join([]string{
		`^0(\x81[\x80-\xff]|\x82[\x01-\x1f].)[\x02\x30]`, // a sequence of 128 bytes to 8 KiB that begins as keys and certificates do
		`0\x82..\x02\x82..\x00`, `0\x81.\x02\x81.\x00`,   // RSAPublicKey, RFC 8017 §A.1.1
		`\x2a\x86\x48\x86\xf7\x0d`,             // RSA, PKCS
		`\x2a\x86\x48\xce[\x38\x3d]`,           // DSA, EC
		`\x06\x03\x2b\x65[\x6e-\x71]`,          // RFC 8410: Ed25519 and similar
		`\x06\x05\x2b\x81\x04\x00`,             // other curves
		`\x06\x09\x60\x86\x48\x01\x65\x03\x04`, // NIST's algorithms, such as ML-DSA
		`\x06\x03\x55[\x04\x1d]`,               // names and extensions of X.509
	}, `|`))
	sshBlob = regexp.MustCompile(`(?s)\x00\x00\x00.(ssh-|ecdsa-|sk-|rsa-sha2-)`) // RFC 4253 §6.6
	// pgpPacket matches a public key of version 4 (RFC 9580 §5.5).
	pgpPacket = regexp.MustCompile(`(?s)^(\x99..|[\x98\xc6].)\x04....[\x01\x10-\x13\x16\x19-\x1c]`)
	javaStore = regexp.MustCompile(`^\xfe\xed\xfe\xed`)
)

// binaryKey describes the kind of key that b is or contains. It returns "" if there is
// none.
func binaryKey(b []byte) string {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	s := string(runes)
	switch short := len(b) > 30 && b[0] == 0x30 && int(b[1]) == len(b)-2 && (b[2] == 2 || b[2] == 0x30); {
	case short, derKey.MatchString(s):
		return likeDER
	case sshBlob.MatchString(s):
		return likeSSH
	case pgpPacket.MatchString(s), javaStore.MatchString(s):
		return "a PGP key or a key store, which verifies no JWT: give a public key as PEM"
	}
	return ""
}

// fromBase64 decodes both alphabets, up to the last whole byte.
func fromBase64(text string) []byte {
	text = strings.NewReplacer("-", "+", "_", "/").Replace(text)
	if len(text)%4 == 1 {
		text = text[:len(text)-1]
	}
	b, _ := base64.RawStdEncoding.DecodeString(text) // text has no other characters
	return b
}

// fromHex decodes pairs of digits, with or without 0x before each, and with separators
// between them.
func fromHex(text string) []byte {
	text = strings.NewReplacer("0x", "", "0X", "").Replace(text)
	text = strings.Map(func(c rune) rune {
		if strings.ContainsRune(":;, -xX", c) {
			return -1
		}
		return c
	}, text)
	b, _ := hex.DecodeString(text[:len(text)&^1]) // text has no other characters
	return b
}

// fromDecimal decodes a list of bytes in decimal, up to the first number that is too
// large.
func fromDecimal(list string) (b []byte) {
	for number := range strings.FieldsFuncSeq(list, func(c rune) bool { return c < '0' || c > '9' }) {
		n, err := strconv.ParseUint(number, 10, 8)
		if err != nil {
			break
		}
		b = append(b, byte(n))
	}
	return b
}
