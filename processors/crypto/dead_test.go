package crypto

import (
	"errors"
	"testing"
)

func TestAnswersHaveNoStack(t *testing.T) {
	if got := deathOf("panic", errors.New("boom\ngoroutine 1 [running]")); got != "panic: boom" {
		t.Error(got)
	}
	if got := deathOf("refused", nil); got != "refused" {
		t.Error(got)
	}
}
