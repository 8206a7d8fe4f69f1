// Command chat is an application of two members: one sends a message, the other keeps it in its own table.
package main

import (
	"time"
	"unicode/utf8"

	"github.com/fairleadio/fairlead/sdk/flow"
	"github.com/fairleadio/fairlead/sdk/native"
)

// protocol is what the two sides of a message speak.
const protocol = "chat"

// maxText is how long a message may be, characters.
const maxText = 10_000

func init() {
	flow.Register("chat-send", Send)
	flow.Register("chat-list", List)
	flow.Responder(protocol, Receive)
}

// main is for debugging: on the platform it is never called.
func main() { native.Main() }

// Outgoing is the argument of flow chat-send.
type Outgoing struct {
	// To is the X.500 name of the member that gets the message.
	To   string `json:"to"`
	Text string `json:"text"`
}

// Delivered is the result of flow chat-send.
type Delivered struct {
	ID string    `json:"id"`
	To string    `json:"to"`
	At time.Time `json:"at"`
}

// message is what travels; receipt is the answer.
type message struct {
	Text   string    `json:"text"`
	SentAt time.Time `json:"sentAt"`
}

type receipt struct {
	At time.Time `json:"at"`
}

// Row is a message that was received, as it is kept in table messages.
type Row struct {
	// ID is the session's, so that a message is kept once.
	ID         string    `json:"id"`
	Sender     string    `json:"sender"`
	Text       string    `json:"text"`
	SentAt     time.Time `json:"sent_at"`
	ReceivedAt time.Time `json:"received_at"`
}

const (
	messages   = flow.Table[Row]("messages")
	bySender   = flow.Query[Row]("messages-by-sender")
	maxListing = 1000
)

// Send sends a message to another member and waits until it is kept there.
func Send(ctx *flow.Context, in Outgoing) (Delivered, error) {
	if in.To == "" || in.Text == "" {
		return Delivered{}, flow.Errorf("bad-input", `start the flow with {"to":"O=…, L=…, C=…","text":"…"}`)
	}
	if n := utf8.RuneCountInString(in.Text); n > maxText {
		return Delivered{}, flow.Errorf("bad-input", "text has %d characters, at most %d are sent", n, maxText)
	}
	s, err := ctx.OpenSession(in.To, protocol)
	if err != nil {
		return Delivered{}, err
	}
	r, err := flow.SendAndReceive[receipt](s, message{Text: in.Text, SentAt: ctx.Now()})
	if err != nil {
		return Delivered{}, err
	}
	return Delivered{ID: s.ID(), To: s.Counterparty(), At: r.At}, nil
}

// Receive keeps a message and says so. The sender's flow waits: if the row cannot be kept, its flow fails with the
// reason.
func Receive(ctx *flow.Context, s *flow.Session) error {
	m, err := flow.Receive[message](s)
	if err != nil {
		return err
	}
	if m.Text == "" || utf8.RuneCountInString(m.Text) > maxText {
		return flow.Errorf("bad-message", "a message has 1 to %d characters", maxText)
	}
	row := Row{ID: s.ID(), Sender: s.Counterparty(), Text: m.Text, SentAt: m.SentAt, ReceivedAt: ctx.Now()}
	if err := messages.Persist(ctx, row); err != nil {
		return err
	}
	ctx.Log().Info("message", "from", row.Sender)
	return s.Send(receipt{At: row.ReceivedAt})
}

// Which is the argument of flow chat-list.
type Which struct {
	// From is the sender's X.500 name in canonical form; empty for all.
	From string `json:"from,omitempty"`
}

// List returns the messages that were received, at most a thousand: of one sender in the order in which they came, or
// of all.
func List(ctx *flow.Context, in Which) ([]Row, error) {
	rows := messages.FindAll(ctx)
	if in.From != "" {
		rows = bySender.Rows(ctx, map[string]string{"sender": in.From})
	}
	list := []Row{}
	for row, err := range rows {
		if err != nil {
			return nil, err
		}
		if list = append(list, row); len(list) == maxListing {
			break
		}
	}
	return list, nil
}
