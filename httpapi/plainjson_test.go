package httpapi

import (
	"bytes"
	"reflect"
	"testing"
	"unicode/utf8"
)

func TestPlainLen(t *testing.T) {
	for length := range 80 {
		for at := range length {
			s := bytes.Repeat([]byte{' '}, length)
			for c := range 256 {
				s[at] = byte(c)
				want := length
				if c < 0x20 || c == '"' || c == '\\' {
					want = at
				}
				if got := plainLen(s); got != want {
					t.Fatalf("%q: %d, want %d", s, got, want)
				}
			}
		}
	}
}

var plainTests = []struct {
	body  string
	plain bool
}{
	{`{"topic":"news","data":"hello"}`, true},
	{`{"topic":"news","data":"hello, this is longer than what is looked at at once"}`, true},
	{" \t\r\n{ \"topic\"\t: \"news\" ,\r\n \"data\" : \"x\" } \n", true},
	{`{"topics":["news", "b" ,"news"],"topic":"c","data":"x","type":"price","id":"mine","private":true}`, true},
	{`{"topic":"news","private": false}`, true},
	{`{"topic":"","data":"","type":"","id":""}`, true},
	{`{"data":"héllo, wörld, ünd so weiter, 世界, 🎉"}`, true},
	{"{\"data\":\"\u2028\x7f\u0085\uFFFD\uFEFF\"}", true},

	{``, false},
	{`{}`, false},
	{`null`, false},
	{`["topic"]`, false},
	{`{"topic":"news"`, false},
	{`{"topic":"news`, false},
	{`{"topic":"news",}`, false},
	{`{,"topic":"news"}`, false},
	{`{"topic" "news"}`, false},
	{`{"topic":"news""data":"x"}`, false},
	{`{"topic":"news"},"data":"x"}`, false},
	{`{"topic":"news"}{"data":"x"}`, false},
	{`{"topic":"news"} x`, false},
	{"{\"topic\":\"news\"}\v", false},
	{"{\"topic\":\"news\"}\u00a0", false},
	{"\uFEFF{\"topic\":\"news\"}", false},
	{"\uFEFF\uFEFF{\"topic\":\"news\"}", false},
	{`{"Topic":"news"}`, false},
	{`{"topic":"news","price":"1"}`, false},
	{`{"t\u006fpic":"news"}`, false},
	{`{"data":"a\nb"}`, false},
	{`{"data":"a \"quoted\" word"}`, false},
	{`{"data":"\ud83c\udf89 and \ud800 and \\"}`, false},
	{`{"data":"\x"}`, false},
	{"{\"data\":\"a\nb\"}", false},
	{"{\"data\":\"a\x00b\"}", false},
	{`{"data":"a","data":"b"}`, false},
	{`{"data":"a","data":1}`, false},
	{`{"type":"a","type":"a"}`, false},
	{`{"id":"a","id":"a"}`, false},
	{`{"private":true,"private":true}`, false},
	{`{"private":false,"private":true}`, false},
	{`{"private":true,"private":false}`, false},
	{`{"topic":"a","topic":"a"}`, false},
	{`{"topics":["a"],"topics":["b"]}`, false},
	{`{"topic":"a","t\u006fpic":"b"}`, false},
	{`{"private":"true"}`, false},
	{`{"private":trueish}`, false},
	{`{"private":null}`, false},
	{`{"data":1,"topic":"news"}`, false},
	{`{"topic":"news","data":{"n": [1, 2.0, null, {"a":"b"}]}}`, false},
	{`{"topic":"news","data":"x","retry":1500}`, false},
	{`{"topic":["news"]}`, false},
	{`{"topics":"news"}`, false},
	{`{"topics":[]}`, false},
	{`{"topics":["news",]}`, false},
	{`{"topics":["news",1]}`, false},
	{`{"topics":["news"}`, false},
	{`{"topics":["n\u0065ws"]}`, false},
	{`{"topics":null}`, false},
}

func TestAddPlain(t *testing.T) {
	for _, tt := range plainTests {
		if new(publication).addPlain([]byte(tt.body)) != tt.plain {
			t.Errorf("%q is taken for plain: %v", tt.body, !tt.plain)
		}
	}
}

// FuzzAddPlain checks that addPlain reads the same as the decoder, that it adds nothing
// when it reports false, and that an event shares no memory with the body or its batch.
func FuzzAddPlain(f *testing.F) {
	for _, tt := range plainTests {
		f.Add([]byte(tt.body), false)
		f.Add([]byte(tt.body), true)
	}
	f.Add([]byte("{\"topic\":\"news\",\"data\":\"\xff\"}"), false)
	f.Fuzz(func(t *testing.T, in []byte, given bool) {
		if !utf8.Valid(in) { // addPlain is given valid UTF-8 only
			var p publication
			if err := p.addJSON(in); err == nil || !reflect.DeepEqual(p, publication{}) {
				t.Fatalf("%q: %v, and %q", in, err, p)
			}
			return
		}
		topics := []string{"news", "others"}
		base := publication{like: topics[:1]} // from the event before
		if given {                            // given in the query
			base.topics, base.like = topics[:1], nil
			base.values[fieldData], base.values[fieldType] = []byte("x"), []byte{}
		}
		body := bytes.Clone(in)
		got, want := base.clone(), base.clone()
		plain := got.addPlain(body)
		if plain {
			if err := want.decodeJSON(in); err != nil {
				t.Fatalf("%q is taken for plain: %v", in, err)
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q, plain %v: %q, want %q", in, plain, got, want)
		}
		clear(body)
		if data := got.values[fieldData]; !reflect.DeepEqual(data, want.values[fieldData]) {
			t.Errorf("%q has become %q, with its body", want.values[fieldData], data)
		}
		got.addTopic("more")
		if topics[1] != "others" {
			t.Errorf("%q is among the topics of others", topics[1])
		}
	})
}
