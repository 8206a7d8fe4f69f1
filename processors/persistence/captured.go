package persistence

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/fairleadio/fairlead/internal/postgres/vnodes"
	"github.com/fairleadio/fairlead/internal/rows"
)

// Types of arguments, by the numbers that they have in every Postgres.
const (
	oidBytea       = 17
	oidInt8        = 20
	oidTimestamptz = 1184
)

func numberArg(n uint64) rows.Arg {
	return rows.Arg{OID: oidInt8, Text: strconv.AppendUint(nil, min(n, 1<<63-1), 10)}
}

func bytesArg(b []byte) rows.Arg {
	return rows.Arg{OID: oidBytea, Text: []byte(`\x` + hex.EncodeToString(b))}
}

// takeAnswer decodes a value of bytes, such as a remembered answer.
func takeAnswer(into *[]byte) vnodes.Take {
	return func(_ []rows.Field, values [][]byte) (bool, error) {
		b, err := hex.DecodeString(string(bytes.TrimPrefix(values[0], []byte(`\x`))))
		if err != nil {
			return false, fmt.Errorf("bytes that were stored: %w", err)
		}
		*into = append([]byte{}, b...)
		return false, nil
	}
}

// capturedChange reads a row of an outbox; key and columns come as JSON arrays of text.
func capturedChange(values [][]byte) (CapturedChange, error) {
	var c CapturedChange
	var err error
	fail := func(what string, err error) (CapturedChange, error) {
		return c, fmt.Errorf("captured change: %s: %w", what, err)
	}
	if c.Number, err = strconv.ParseUint(string(values[0]), 10, 64); err != nil {
		return fail("number", err)
	}
	if c.CommittedAtUs, err = strconv.ParseInt(string(values[1]), 10, 64); err != nil {
		return fail("time", err)
	}
	c.FlowID, c.Shape = string(values[2]), string(values[3])
	if values[7] != nil {
		if _, err = takeAnswer(&c.Ledger)(nil, values[7:]); err != nil {
			return fail("change of the ledger", err)
		}
		if _, key := ledgerChange(c.Ledger); key == "" {
			return fail("change of the ledger", errors.New("it is none that this version knows: its writer is newer; upgrade the persistence worker"))
		}
		return c, nil
	}
	op, err := strconv.ParseInt(string(values[4]), 10, 32)
	if err != nil {
		return fail("operation", err)
	}
	if op < 1 || op > 3 {
		return c, fmt.Errorf("captured change %d: its operation is %d; it must be 1 to 3", c.Number, op)
	}
	c.Operation = int32(op)
	shape, err := rows.ParseShape(c.Shape)
	if err != nil {
		return c, err
	}
	key, err := texts(values[5])
	if err != nil {
		return fail("key", err)
	}
	if c.Key, err = shape.KeyObject(key); err != nil {
		return c, err
	}
	if values[6] == nil {
		return c, nil
	}
	columns, err := texts(values[6])
	if err != nil {
		return fail("columns", err)
	}
	c.Columns, err = shape.RowObject(columns)
	return c, err
}

// texts reads a JSON array of strings and nulls.
func texts(b []byte) ([][]byte, error) {
	var all []*string
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, err
	}
	out := make([][]byte, len(all))
	for i, s := range all {
		if s != nil {
			out[i] = []byte(*s)
		}
	}
	return out, nil
}
