package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// Names in the config file are case-sensitive, must be unique, and must be in one
// document. Anything else is an error, so that no setting is lost.
func TestConfigFile(t *testing.T) {
	parser, err := kong.New(&cli{}, kong.Vars{"version": ""})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		text, says string // says "": no error
	}{
		{"anonymous: true\nstore: memory\n", ""},
		{"---\nstore: memory\n", ""},
		{"", ""},
		{"# nothing\n", ""},
		{"anonymous: false\nanonymous: true\n", "already defined"},
		{"anonymous: false\n\"anonymous\": true\n", "already defined"},
		{"store: memory\n---\nanonymous: true\n", "more than one document"},
		{"store: memory\n---\n[", "more than one document"},
		{"ANONYMOUS: true\n", `"ANONYMOUS"`},
		{"No-Auth: true\n", `"No-Auth"`},
		{"no_auth: true\n", `"no_auth"`},
	} {
		f, err := loadConfig(strings.NewReader(tt.text))
		if err == nil {
			err = f.Validate(parser.Model)
		}
		if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: %v; want %q", tt.text, err, tt.says)
		}
	}
}
