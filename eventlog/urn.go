package eventlog

import (
	"encoding/binary"
	"encoding/hex"
	"strings"
)

const urnPrefix = "urn:uuid:"

// URN returns the ID as a urn:uuid: of version 8 (RFC 9562 §5.8), for clients whose ids
// must be IRIs. It consists of the epoch and 74 bits. These hold lo alone if hi is zero,
// and otherwise a mark, 10 bits of hi and 63 of lo. If an ID does not fit, URN returns its
// text form.
func (id ID) URN() string {
	high, low := uint64(0), id.Lo
	if id.Hi != 0 {
		if id.Hi >= 1<<10 || id.Lo >= 1<<63 {
			return id.String()
		}
		high, low = 1<<9|id.Hi>>1, id.Hi<<63|id.Lo
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[0:], id.Epoch<<16|8<<12|high<<2|low>>62)
	binary.BigEndian.PutUint64(b[8:], 1<<63|low&(1<<62-1))
	h := hex.EncodeToString(b[:])
	return urnPrefix + h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// ParseURN parses the text that URN returns. It accepts no other spelling.
func ParseURN(s string) (ID, error) {
	text, ok := strings.CutPrefix(s, urnPrefix)
	if !ok || len(text) != 36 {
		return ID{}, errBadID
	}
	digits := strings.ReplaceAll(text, "-", "")
	var b [16]byte
	if len(digits) != hex.EncodedLen(len(b)) {
		return ID{}, errBadID
	}
	if _, err := hex.Decode(b[:], []byte(digits)); err != nil {
		return ID{}, errBadID
	}
	first, second := binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])
	high, low := first>>2&(1<<10-1), first<<62|second&(1<<62-1)
	id := ID{Epoch: first >> 16, Lo: low}
	if high != 0 {
		id.Hi, id.Lo = high&(1<<9-1)<<1|low>>63, low&(1<<63-1)
	}
	if id.URN() != s { // only one text per position
		return ID{}, errBadID
	}
	return id, nil
}
