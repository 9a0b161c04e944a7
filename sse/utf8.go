package sse

import (
	"encoding/binary"
	"unicode/utf8"
)

// appendUTF8 appends src, decoded like WHATWG Encoding's "UTF-8 decode without
// BOM": each maximal subpart of an ill-formed sequence becomes one U+FFFD. Go's
// own conversions replace every byte, or every run, instead.
func appendUTF8(dst, src []byte) []byte {
	if utf8.Valid(src) {
		return append(dst, src...)
	}
	for len(src) > 0 {
		n, ok := sequence(src)
		if ok {
			dst = append(dst, src[:n]...)
		} else {
			dst = append(dst, "\uFFFD"...)
		}
		src = src[n:]
	}
	return dst
}

func toUTF8(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	return string(appendUTF8(nil, b))
}

// sequence returns the length of the UTF-8 sequence that b begins with. If the
// sequence is ill-formed, it returns the length of its maximal subpart and false.
//
// The bounds on the second byte exclude overlong forms, surrogates and code points
// beyond U+10FFFF (Unicode, table 3-7).
func sequence(b []byte) (n int, ok bool) {
	lower, upper, want := byte(0x80), byte(0xBF), 0
	switch lead := b[0]; {
	case lead < 0x80:
		return 1, true
	case 0xC2 <= lead && lead <= 0xDF:
		want = 2
	case 0xE0 <= lead && lead <= 0xEF:
		want = 3
		if lead == 0xE0 {
			lower = 0xA0
		} else if lead == 0xED {
			upper = 0x9F
		}
	case 0xF0 <= lead && lead <= 0xF4:
		want = 4
		if lead == 0xF0 {
			lower = 0x90
		} else if lead == 0xF4 {
			upper = 0x8F
		}
	default:
		return 1, false
	}
	for n = 1; n < want; n++ {
		if n == len(b) || b[n] < lower || upper < b[n] {
			return n, false
		}
		lower, upper = 0x80, 0xBF
	}
	return n, true
}

// valid is [utf8.Valid], but faster on long ASCII text, which most data is.
func valid(b []byte) bool { return ascii(b) || utf8.Valid(b) }

// ascii reads eight words at a time into four accumulators that do not depend on each
// other, and decides at the end, because an early return costs more than it saves.
func ascii(b []byte) bool {
	var w0, w1, w2, w3 uint64
	for len(b) >= 64 {
		c := (*[64]byte)(b)
		w0 |= binary.LittleEndian.Uint64(c[0:8]) | binary.LittleEndian.Uint64(c[32:40])
		w1 |= binary.LittleEndian.Uint64(c[8:16]) | binary.LittleEndian.Uint64(c[40:48])
		w2 |= binary.LittleEndian.Uint64(c[16:24]) | binary.LittleEndian.Uint64(c[48:56])
		w3 |= binary.LittleEndian.Uint64(c[24:32]) | binary.LittleEndian.Uint64(c[56:64])
		b = b[64:]
	}
	var rest byte
	for _, c := range b {
		rest |= c
	}
	return (w0|w1|w2|w3)&0x8080808080808080 == 0 && rest < utf8.RuneSelf
}
