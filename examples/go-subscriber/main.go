// A subscriber of Millrace's events with nothing but the plain NATS client: durable, and each event acked once it is handled.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// Change is the body of a row's event. Columns in Unchanged are not in After: the log left them out.
type Change struct {
	Op        string          `json:"op"`
	Key       json.RawMessage `json:"key"`
	Before    json.RawMessage `json:"before"`
	After     json.RawMessage `json:"after"`
	Unchanged []string        `json:"unchanged"`
}

func main() {
	source := env("SOURCE", "shop")
	left, _ := strconv.Atoi(env("EVENTS", "-1")) // ends after that many; else it goes on until Ctrl-C
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	nc, err := nats.Connect(env("NATS_URL", nats.DefaultURL))
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		log.Fatal(err)
	}
	// The durable remembers what was acked: started again, it goes on from there.
	consumer, err := js.CreateOrUpdateConsumer(ctx, "CDC_"+strings.ToUpper(source), jetstream.ConsumerConfig{
		Durable:        env("DURABLE", "go-subscriber"),
		FilterSubjects: []string{env("SUBJECT", "events."+source+".>")},
		AckPolicy:      jetstream.AckExplicitPolicy,
		MaxDeliver:     -1,
	})
	if err != nil {
		log.Fatal(err)
	}
	for left != 0 {
		msg, err := consumer.Next(jetstream.FetchContext(ctx))
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			if errors.Is(err, nats.ErrTimeout) { // nothing has come for half a minute
				continue
			}
			log.Fatal(err)
		}
		header := func(name string) string { // CloudEvents' binding: values are percent-encoded
			text, _ := url.PathUnescape(msg.Headers().Get(name))
			return text
		}
		// The id stays the same when an event comes again: remember it where an effect must happen once.
		if strings.HasPrefix(msg.Subject(), "cdc.") {
			var change Change
			if err := json.Unmarshal(msg.Data(), &change); err != nil {
				log.Fatal(err) // a body above the server's max_payload is elsewhere: see docs/wire.md, Large events
			}
			fmt.Println(change.Op, header("ce-subject"), header("ce-id"), "before", string(change.Before), "after", string(change.After))
		} else {
			fmt.Println(header("ce-type"), header("ce-subject"), header("ce-id"), string(msg.Data()))
		}
		if err := msg.DoubleAck(ctx); err != nil {
			log.Fatal(err)
		}
		left--
	}
}
