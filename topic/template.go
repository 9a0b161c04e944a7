package topic

import (
	"math/bits"
	"strings"
	"unsafe"

	"github.com/yosida95/uritemplate/v3"
)

// Limits of a URI Template. They bound how many passes matching makes over a topic, see
// [Template.Cost].
const (
	maxTemplateBytes       = 1024
	maxTemplateExpressions = 8
	maxTemplateVariables   = 16 // in all
)

// A Template is a compiled URI Template. It matches exactly what the regular expression of
// github.com/yosida95/uritemplate matches, which is what RFC 6570 §3.2 lets expressions
// expand to. A Template does not change. Templates that differ only in the names of their
// variables have the same [Template.Text] and match the same topics.
type Template struct {
	text   string // the template, with each variable named x
	Prefix string // the literal that every matching topic begins with
	suffix string // and the literal that it ends with
	parts  []part // what is between the two
	Cost   int    // upper bound of the passes over a topic that match makes
}

// A part of a template is a literal or an expression. An expression matches nothing; or
// first, then a value, then up to more times sep and another value.
type part struct {
	literal string // "": the part is an expression
	first   byte   // 0: nothing precedes the first value
	sep     byte
	more    int
	value   class // characters of the first value
	next    class // characters of further values
}

// A class is a set of characters. Every class also contains percent-encoded triplets,
// such as %2F.
type class uint8

const (
	unreservedClass class = 1 << iota // RFC 6570 §1.5, and the comma between values
	equalsClass                       // '=' between a name and a value
	reservedClass                     // RFC 6570 §1.5
	slashClass                        // and the separators of values that may repeat without limit
	semicolonClass
	ampersandClass
)

// classes holds the classes that each byte belongs to.
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

// operators describes the expression of each operator of RFC 6570 §3.2; 0 is the absence
// of one.
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

// parseTemplate compiles a URI Template. The error is an [InvalidError].
func parseTemplate(template string) (*Template, error) {
	expressions := strings.Count(template, "{")
	if len(template) > maxTemplateBytes || expressions > maxTemplateExpressions || expressions+strings.Count(template, ",") > maxTemplateVariables {
		return nil, Invalid("the selector %q is too large: a URI Template may have %d bytes, %d expressions and %d variables",
			Cut(template), maxTemplateBytes, maxTemplateExpressions, maxTemplateVariables)
	}
	if _, err := uritemplate.New(template); err != nil {
		return nil, Invalid("the selector %q is not a URI Template (RFC 6570)", Cut(template))
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
	return newTemplate(text.String(), parts), nil
}

// parseExpression parses the text between two braces. It also returns the expression with
// each variable named x. The maximum length of a value (":3") makes no difference to a
// match.
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
		e.next |= equalsClass | classes[e.sep]&^reservedClass // a separator, and names with values
		e.more = 1
		if strings.HasSuffix(variables[0], "*") {
			e.value |= equalsClass
			canonical += "*"
		}
	}
	if e.value&classes[e.sep] != 0 && e.value == e.next {
		e.more = 0 // further values are matched as part of the first
	}
	canonical += strings.Repeat(",x", e.more)
	if exploded && e.more > 0 {
		canonical += "*"
	}
	return e, canonical + "}"
}

// newTemplate returns the template of some parts. It shares no memory with the text
// that they were parsed from.
func newTemplate(text string, parts []part) *Template {
	p := &Template{text: text, Cost: 1}
	if len(parts) > 0 && parts[0].literal != "" {
		p.Prefix = strings.Clone(parts[0].literal)
		parts = parts[1:]
	}
	if last := len(parts) - 1; last >= 0 && parts[last].literal != "" {
		p.suffix = strings.Clone(parts[last].literal)
		parts = parts[:last]
	}
	p.parts = make([]part, len(parts))
	for i, e := range parts {
		e.literal = strings.Clone(e.literal)
		p.parts[i] = e
		p.Cost += 1 + 2*e.more
		if e.first != 0 {
			p.Cost++
		}
	}
	return p
}

// Text returns the template with each variable named x.
func (p *Template) Text() string { return p.text }

// Size returns about how many bytes a template takes, with its entry in a table of
// templates.
func (p *Template) Size() int64 {
	n := int(unsafe.Sizeof(*p)) + 2*len(p.text) + len(p.parts)*int(unsafe.Sizeof(part{})) // twice the text: literals take at most as much again
	return int64(n + entrySize)
}

// entrySize is about how many bytes an entry in a table takes.
const entrySize = 200

// IsPlain reports whether p is a literal and then one expression of a usual form, such as
// {x}, {+x}, {/x} and {?x}.
func (p *Template) IsPlain() bool { return p.suffix == "" && len(p.parts) == 1 && p.Cost <= 3 }

// IsOpen reports whether p must be tried on every topic, and is not plain.
func (p *Template) IsOpen() bool { return p.Prefix == "" && !p.IsPlain() }

// Match reports whether a topic matches. It goes through the parts and keeps the set of
// places in the topic at which the parts so far may end, so it makes at most p.cost
// passes over any topic.
func (p *Template) Match(topic string) bool {
	rest, ok := strings.CutPrefix(topic, p.Prefix)
	if !ok {
		return false
	}
	if rest, ok = strings.CutSuffix(rest, p.suffix); !ok {
		return false
	}
	var room [3][MaxBytes/64 + 1]uint64
	var sets [3]places // before a part, after it, and within it
	words := len(rest)/64 + 1
	for i := range sets {
		if words <= len(room[i]) {
			sets[i] = room[i][:words]
		} else { // longer than any topic that can be published
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

// pass adds to after the places that the expression leads to from those in at. It changes
// at and way.
func (e *part) pass(topic string, at, after, way places) {
	copy(after, at) // the expression may match nothing
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

// places is a set of places in a text, as bits. Place 0 is before the first byte.
type places []uint64

// from returns the first place in s that is at least i, or -1.
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

// add adds a range of places, both ends included.
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

// passLiteral adds to after the places that a literal leads to from those in s.
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

// passByte adds to after the places that one byte leads to from those in s.
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

// passRun adds to s the places that any number of characters of a class lead to from
// those in s.
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
