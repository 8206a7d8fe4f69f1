package flow

import (
	"log/slog"
	"strings"

	"github.com/fairleadio/fairlead/sdk/internal/registry"
)

// newLogHandler writes records as lines of text, without a time: the platform adds it.
func newLogHandler(h registry.Host) slog.Handler {
	return slog.NewTextHandler(lines{h}, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	})
}

type lines struct{ h registry.Host }

func (l lines) Write(b []byte) (int, error) {
	l.h.Log(strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}
