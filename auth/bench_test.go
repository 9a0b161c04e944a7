package auth

import (
	"crypto/elliptic"
	"net/http/httptest"
	"testing"
)

// BenchmarkPublisher measures what a token costs per request, by algorithm.
func BenchmarkPublisher(b *testing.B) {
	rsaKey, ec, ed := rsaPair(b, 2048), ecPair(b, elliptic.P256()), edPair(b)
	for _, key := range []struct{ alg, public, private string }{
		{"HS256", secret, secret}, {"RS256", rsaKey.public, rsaKey.private}, {"ES256", ec.public, ec.private}, {"EdDSA", ed.public, ed.private},
	} {
		a, err := New(Options{PublisherKeys: mustParse(b, key.public)})
		if err != nil {
			b.Fatal(err)
		}
		c := claims()
		c.Mercure.Publish = []string{"news", "https://example.com/users/{id}/{?topic}"}
		token, err := Mint(c, key.private, key.alg)
		if err != nil {
			b.Fatal(err)
		}
		r := httptest.NewRequest("POST", "/events", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		b.Run(key.alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if g, err := a.Publisher(r); err != nil || !g.MayPublish([]string{"news"}) {
					b.Fatal(err)
				}
			}
		})
	}
}
