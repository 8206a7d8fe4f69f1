// Command wireecho decodes and encodes messages with package wire, so that a test that has the real Protobuf
// library, which this module does not, can compare them. It reads frames from standard input and answers each with
// one on standard output: a byte, a big-endian uint32, and as many bytes. The frame that comes in has the length of
// the message's name as its byte, and the name before the message; the one that goes out has 0 when the message was
// decoded, with its encoding, or 1 with why it was not.
package main

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/fairleadio/fairlead/sdk/internal/wire"
)

func main() {
	if err := echo(bufio.NewReader(os.Stdin), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "wireecho:", err)
		os.Exit(1)
	}
}

func echo(r io.Reader, w io.Writer) error {
	for {
		var head [5]byte
		if _, err := io.ReadFull(r, head[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		b := make([]byte, int(head[0])+int(binary.BigEndian.Uint32(head[1:])))
		if _, err := io.ReadFull(r, b); err != nil {
			return err
		}
		out, err := again(string(b[:head[0]]), b[head[0]:])
		head[0] = 0
		if err != nil {
			head[0], out = 1, []byte(err.Error())
		}
		binary.BigEndian.PutUint32(head[1:], uint32(len(out)))
		if _, err := w.Write(append(head[:], out...)); err != nil {
			return err
		}
	}
}

func again(name string, b []byte) ([]byte, error) {
	m := message(name)
	if m == nil {
		return nil, fmt.Errorf("there is no message %q", name)
	}
	if err := wire.Decode(b, m); err != nil {
		return nil, err
	}
	return wire.Encode(m), nil
}

// message is an empty message of a name of fairlead.app.v1: one of those that travel by themselves.
func message(name string) wire.Message {
	switch name {
	case "Start":
		return &wire.Start{}
	case "Yield":
		return &wire.Yield{}
	case "Resume":
		return &wire.Resume{}
	case "OpenedSession":
		return &wire.OpenedSession{}
	case "ReceivedMessage":
		return &wire.ReceivedMessage{}
	case "SessionInfoResult":
		return &wire.SessionInfoResult{}
	case "Signature":
		return &wire.Signature{}
	case "Keys":
		return &wire.Keys{}
	case "Rows":
		return &wire.Rows{}
	case "Page":
		return &wire.Page{}
	case "UniquenessAnswer":
		return &wire.UniquenessAnswer{}
	case "Members":
		return &wire.Members{}
	case "VerifyRequest":
		return &wire.VerifyRequest{}
	case "PersistedTransaction":
		return &wire.PersistedTransaction{}
	case "FoundTransaction":
		return &wire.FoundTransaction{}
	case "TransactionStatuses":
		return &wire.TransactionStatuses{}
	case "RepairAttempts":
		return &wire.RepairAttempts{}
	case "StatePage":
		return &wire.StatePage{}
	case "ResolvedStates":
		return &wire.ResolvedStates{}
	case "FoundFilteredTransactions":
		return &wire.FoundFilteredTransactions{}
	case "SignedGroupParameters":
		return &wire.SignedGroupParameters{}
	case "TransactionSignatures":
		return &wire.TransactionSignatures{}
	case "LedgerDescription":
		return &wire.LedgerDescription{}
	case "MissingPackages":
		return &wire.MissingPackages{}
	case "PackagePart":
		return &wire.PackagePart{}
	case "TokenClaim":
		return &wire.TokenClaim{}
	case "TokenRelease":
		return &wire.TokenRelease{}
	case "TokenAmounts":
		return &wire.TokenAmounts{}
	case "Verdict":
		return &wire.Verdict{}
	case "Verification":
		return &wire.Verification{}
	}
	return nil
}
