package hub

import (
	"math/bits"
	"runtime"
	"strings"
	"sync"
	"unsafe"
	"weak"

	"github.com/yosida95/uritemplate/v3"
)

// What a URI Template may have. It bounds the passes that matching makes over a
// topic, see [pattern.cost].
const (
	maxTemplateBytes       = 1024
	maxTemplateExpressions = 8
	maxTemplateVariables   = 16 // in all
)

// A pattern is a URI Template as a matcher. It matches what the regular expression
// of github.com/yosida95/uritemplate matches, which is what RFC 6570 §3.2 lets
// expressions expand to. Patterns do not change, and templates that differ only in
// the names of their variables share one, see [internPattern].
type pattern struct {
	text   string // the template with each variable named x
	prefix string // what every matching topic begins with
	suffix string // and ends with, after that
	parts  []part // what lies between
	cost   int    // passes over a topic that a match makes at most
}

// A part of a pattern is a literal or an expression. An expression matches nothing,
// or first, a value, and up to more times sep and another value.
type part struct {
	literal string // "": an expression
	first   byte   // 0: none
	sep     byte
	more    int
	value   class // characters of the first value
	next    class // and of the others
}

// A class is a set of characters. Each class also has the triplets of a percent sign
// and two hexadecimal digits.
type class uint8

const (
	unreservedClass class = 1 << iota // RFC 6570 §1.5, and the comma between values
	equalsClass                       // between a name and a value
	reservedClass                     // RFC 6570 §1.5
	slashClass                        // separators, where values may repeat without end
	semicolonClass
	ampersandClass
)

// classes holds the classes of each byte.
var classes = func() (of [256]class) {
	for _, c := range []byte(unreserved + ",") {
		of[c] |= unreservedClass
	}
	of['%'] = 0
	for _, c := range []byte(reserved) {
		of[c] |= reservedClass
	}
	of['='] |= equalsClass
	of['/'] |= slashClass
	of[';'] |= semicolonClass
	of['&'] |= ampersandClass
	return of
}()

// operators holds what RFC 6570 §3.2 says of each operator; 0 is none.
var operators = map[byte]part{
	0:   {sep: ',', value: unreservedClass},
	'+': {sep: ',', value: unreservedClass | reservedClass | equalsClass},
	'#': {first: '#', sep: ',', value: unreservedClass | reservedClass | equalsClass},
	'.': {first: '.', sep: '.', value: unreservedClass},
	'/': {first: '/', sep: '/', value: unreservedClass},
	';': {first: ';', sep: ';', value: unreservedClass | equalsClass},
	'?': {first: '?', sep: '&', value: unreservedClass | equalsClass},
	'&': {first: '&', sep: '&', value: unreservedClass | equalsClass},
}

// parseTemplate returns the pattern of a URI Template.
func parseTemplate(template string) (*pattern, error) {
	expressions := strings.Count(template, "{")
	if len(template) > maxTemplateBytes || expressions > maxTemplateExpressions || expressions+strings.Count(template, ",") > maxTemplateVariables {
		return nil, invalid("the selector %q is too large: a URI Template may have %d bytes, %d expressions and %d variables",
			cut(template), maxTemplateBytes, maxTemplateExpressions, maxTemplateVariables)
	}
	if _, err := uritemplate.New(template); err != nil {
		return nil, invalid("the selector %q is not a URI Template (RFC 6570)", cut(template))
	}
	var text strings.Builder
	var parts []part
	for rest := template; rest != ""; {
		literal, after, expression := strings.Cut(rest, "{")
		if literal != "" {
			text.WriteString(literal)
			parts = append(parts, part{literal: literal})
		}
		if !expression {
			break
		}
		inside, after, _ := strings.Cut(after, "}")
		e, canonical := parseExpression(inside)
		text.WriteString(canonical)
		parts = append(parts, e)
		rest = after
	}
	return internPattern(text.String(), parts), nil
}

// parseExpression reads what is between two braces, and returns it with each variable
// named x, too. How long values may be (":3") makes no difference to a match.
func parseExpression(inside string) (e part, canonical string) {
	operator := inside[0]
	e, ok := operators[operator]
	if canonical = "{"; ok {
		canonical += string(operator)
		inside = inside[1:]
	} else {
		e = operators[0]
	}
	variables := strings.Split(inside, ",")
	exploded := strings.Contains(inside, "*")
	e.next, e.more = e.value, len(variables)-1
	canonical += "x"
	if exploded {
		e.next |= equalsClass | classes[e.sep]&^reservedClass // a separator and all that follows it
		e.more = 1
		if strings.HasSuffix(variables[0], "*") {
			e.value |= equalsClass
			canonical += "*"
		}
	}
	if e.value&classes[e.sep] != 0 && e.value == e.next {
		e.more = 0 // the first value matches the others, too
	}
	canonical += strings.Repeat(",x", e.more)
	if exploded && e.more > 0 {
		canonical += "*"
	}
	return e, canonical + "}"
}

// newPattern returns the pattern of a template's parts. It shares no memory with what
// they were read from.
func newPattern(text string, parts []part) *pattern {
	p := &pattern{text: text, cost: 1}
	if parts[0].literal != "" {
		p.prefix = strings.Clone(parts[0].literal)
		parts = parts[1:]
	}
	if last := len(parts) - 1; parts[last].literal != "" {
		p.suffix = strings.Clone(parts[last].literal)
		parts = parts[:last]
	}
	p.parts = make([]part, len(parts))
	for i, e := range parts {
		e.literal = strings.Clone(e.literal)
		p.parts[i] = e
		p.cost += 1 + 2*e.more
		if e.first != 0 {
			p.cost++
		}
	}
	return p
}

// size is how many bytes a pattern takes.
func (p *pattern) size() int64 {
	n := int(unsafe.Sizeof(*p)) + 2*len(p.text) + len(p.parts)*int(unsafe.Sizeof(part{})) // literals are at most as long as the text
	return int64(n + internedSize)
}

// internedSize is what the table of patterns and the runtime keep for one.
const internedSize = 200

// patterns holds each pattern that something refers to, by its text.
var patterns struct {
	mu     sync.Mutex
	byText map[string]weak.Pointer[pattern]
	bytes  int64
}

// internPattern returns the one pattern with a text. The table forgets a pattern once
// the collector finds that nothing refers to it.
func internPattern(text string, parts []part) *pattern {
	patterns.mu.Lock()
	defer patterns.mu.Unlock()
	if p := patterns.byText[text].Value(); p != nil {
		return p
	}
	p := newPattern(text, parts)
	if patterns.byText == nil {
		patterns.byText = map[string]weak.Pointer[pattern]{}
	}
	patterns.byText[text] = weak.Make(p)
	size := p.size()
	patterns.bytes += size
	runtime.AddCleanup(p, func(text string) {
		patterns.mu.Lock()
		defer patterns.mu.Unlock()
		patterns.bytes -= size
		if patterns.byText[text].Value() == nil { // else it has come again meanwhile
			delete(patterns.byText, text)
		}
	}, text)
	return p
}

// Templates returns how many different URI Templates the process keeps compiled, for
// subscriptions, grants and bans of all hubs, and how many bytes they take.
func Templates() (n int, bytes int64) {
	patterns.mu.Lock()
	defer patterns.mu.Unlock()
	return len(patterns.byText), patterns.bytes
}

// match reports whether a topic matches. It goes through the parts, and keeps the
// places in the topic at which what comes before may end. So it takes at most
// p.cost passes over the topic, whatever both are.
func (p *pattern) match(topic string) bool {
	rest, ok := strings.CutPrefix(topic, p.prefix)
	if !ok {
		return false
	}
	if rest, ok = strings.CutSuffix(rest, p.suffix); !ok {
		return false
	}
	var room [3][MaxTopicBytes/64 + 1]uint64
	var sets [3]places // before a part, after it, and on the way
	words := len(rest)/64 + 1
	for i := range sets {
		if words <= len(room[i]) {
			sets[i] = room[i][:words]
		} else { // no topic that can be published to
			sets[i] = make(places, words)
		}
	}
	at, after, way := sets[0], sets[1], sets[2]
	at.add(0, 0)
	for i := range p.parts {
		clear(after)
		if e := &p.parts[i]; e.literal != "" {
			at.passLiteral(rest, e.literal, after)
		} else {
			e.pass(rest, at, after, way)
		}
		if at, after = after, at; at.from(0) < 0 {
			return false
		}
	}
	return at.has(len(rest))
}

// pass adds to after the places to which the expression leads from those of at, which
// it changes.
func (e *part) pass(topic string, at, after, way places) {
	copy(after, at) // without a value
	if e.first != 0 {
		clear(way)
		at.passByte(topic, e.first, way)
		at, way = way, at
	}
	at.passRun(topic, e.value)
	after.join(at)
	for range e.more {
		clear(way)
		at.passByte(topic, e.sep, way)
		if at, way = way, at; at.from(0) < 0 {
			return
		}
		at.passRun(topic, e.next)
		after.join(at)
	}
}

// places is a set of places in a text, as bits: 0 is before its first byte.
type places []uint64

// from returns the first place of s at i or after it, or -1.
func (s places) from(i int) int {
	w := i / 64
	if w >= len(s) {
		return -1
	}
	left := s[w] >> (i % 64) << (i % 64)
	for left == 0 {
		if w++; w == len(s) {
			return -1
		}
		left = s[w]
	}
	return w*64 + bits.TrailingZeros64(left)
}

func (s places) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

// add adds the places from one to another.
func (s places) add(from, to int) {
	first, last := from/64, to/64
	ones := ^uint64(0) << (from % 64)
	for ; first < last; first++ {
		s[first] |= ones
		ones = ^uint64(0)
	}
	s[last] |= ones & (^uint64(0) >> (63 - to%64))
}

func (s places) join(other places) {
	for i, w := range other {
		s[i] |= w
	}
}

// passLiteral adds to after the places to which a literal leads from those of s.
func (s places) passLiteral(topic, literal string, after places) {
	for i := s.from(0); i >= 0; i = s.from(i) {
		n := strings.Index(topic[i:], literal)
		if n < 0 {
			return
		}
		if i += n; s.has(i) {
			after.add(i+len(literal), i+len(literal))
		}
		i++
	}
}

// passByte adds to after the places to which a byte leads from those of s.
func (s places) passByte(topic string, b byte, after places) {
	for i := s.from(0); i >= 0; i = s.from(i) {
		n := strings.IndexByte(topic[i:], b)
		if n < 0 {
			return
		}
		if i += n; s.has(i) {
			after.add(i+1, i+1)
		}
		i++
	}
}

// passRun adds to s the places to which any number of characters of a class lead from
// those of it.
func (s places) passRun(topic string, c class) {
	for i := s.from(0); i >= 0; i = s.from(i) {
		from := i
		for i < len(topic) && classes[topic[i]]&c != 0 {
			i++
		}
		s.add(from, i)
		if isTriplet(topic[i:]) {
			s.add(i+3, i+3)
		}
		i++
	}
}

func isTriplet(s string) bool { return len(s) >= 3 && s[0] == '%' && isHex(s[1]) && isHex(s[2]) }

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }
