// Main publishes one event: go run . "hello".
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	hub := cmp.Or(os.Getenv("HUB"), "http://localhost:3000")
	text := "hello from Go"
	if len(os.Args) > 1 {
		text = os.Args[1]
	}
	event, err := json.Marshal(map[string]any{"topic": "news", "data": text})
	if err != nil {
		log.Fatal(err)
	}
	resp, err := http.Post(hub+"/events", "application/json", bytes.NewReader(event))
	if err != nil {
		log.Fatal(err)
	}
	answer, err := io.ReadAll(resp.Body) // the body is closed when the program ends
	if err != nil || resp.StatusCode != http.StatusCreated {
		log.Fatalf("%s %s %v", resp.Status, answer, err)
	}
	var published struct{ ID string }
	if err := json.Unmarshal(answer, &published); err != nil {
		log.Fatal(err)
	}
	fmt.Println(published.ID)
}
