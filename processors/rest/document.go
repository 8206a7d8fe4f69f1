package rest

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"slices"
)

//go:embed openapi-v5_2.json
var cordaOpenAPI []byte

//go:embed openapi-fairlead-v1.json
var ownOpenAPI []byte

// cordaDocument returns the OpenAPI 3.1 document of what exists under /api/v5_2.
func cordaDocument() []byte { return slices.Clone(cordaOpenAPI) }

// ownDocument returns the OpenAPI 3.1 document of /api/fairlead/v1.
func ownDocument() []byte { return slices.Clone(ownOpenAPI) }

func document(text []byte) handler {
	return func(context.Context, *call) (*answer, *failure) {
		return &answer{status: http.StatusOK, body: string(text)}, nil
	}
}

// browsable returns a page that lists the operations of a document, made without scripts.
func browsable(address string, text []byte) handler {
	return func(context.Context, *call) (*answer, *failure) {
		p, err := operationsPage(address, text)
		if err != nil {
			return nil, refuse(http.StatusInternalServerError, idInternal, "The document cannot be shown: %s.", err)
		}
		return &answer{status: http.StatusOK, body: p}, nil
	}
}

func operationsPage(address string, text []byte) (page, error) {
	var doc struct {
		Info  struct{ Title, Description string }
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("reading the OpenAPI document: %w", err)
	}
	var b bytes.Buffer
	title := html.EscapeString(doc.Info.Title)
	fmt.Fprintf(&b, "<!doctype html><html lang=en><meta charset=utf-8><title>%s</title><style>body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}"+
		"code{font-size:1.05em}dt{margin-top:1.2rem}b{display:inline-block;min-width:4rem}</style><h1>%s</h1><p>%s<p>The whole document: <a href=%q>%s</a><dl>",
		title, title, html.EscapeString(doc.Info.Description), address, address)
	var paths []string
	for p := range doc.Paths {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	for _, p := range paths {
		for _, method := range []string{"get", "post", "put", "delete"} {
			raw, ok := doc.Paths[p][method]
			if !ok {
				continue
			}
			var op struct {
				Summary   string
				Responses map[string]struct{ Description string }
			}
			if err := json.Unmarshal(raw, &op); err != nil {
				return nil, fmt.Errorf("reading the OpenAPI document at %s: %w", p, err)
			}
			fmt.Fprintf(&b, "<dt><b>%s</b> <code>%s</code><dd>%s<ul>", method, html.EscapeString(p), html.EscapeString(op.Summary))
			var codes []string
			for c := range op.Responses {
				codes = append(codes, c)
			}
			slices.Sort(codes)
			for _, c := range codes {
				fmt.Fprintf(&b, "<li><code>%s</code> %s", c, html.EscapeString(op.Responses[c].Description))
			}
			b.WriteString("</ul>")
		}
	}
	b.WriteString("</dl></html>\n")
	return b.Bytes(), nil
}
