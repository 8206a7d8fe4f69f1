package rest

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	flowv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/flow/v1"
)

const ownFlows = "/api/fairlead/v1/flow/" + aliceHash

func TestCommands(t *testing.T) {
	w := newWorld(t, Config{})
	w.put("run", func(*flowv1.FlowStatus) {})
	w.put("done", func(s *flowv1.FlowStatus) { s.State = flowv1.FlowState_FLOW_STATE_COMPLETED })
	for _, c := range []struct {
		path, body string
		status     int
		want       *flowv1.FlowCommand
	}{
		{"/run/kill", `{"reason":"too slow"}`, 202, &flowv1.FlowCommand{Kind: 1, By: "alice", Reason: "too slow"}},
		{"/run/pause", "", 202, &flowv1.FlowCommand{Kind: 2, By: "alice"}},
		{"/run/resume", "{}", 202, &flowv1.FlowCommand{Kind: 3, By: "alice"}},
		{"/run/retry", `{"step":4}`, 202, &flowv1.FlowCommand{Kind: 4, By: "alice", Step: 4}},
		{"/run/retry", `{"step":4,"force":true}`, 202, &flowv1.FlowCommand{Kind: 4, By: "alice", Step: 4, Force: true}},
		{"/run/retry", `{"step":4,"force":"perhaps"}`, 400, nil},
		{"/run/kill", `{"force":true}`, 400, nil},
		{"/run/retry", "", 400, nil},
		{"/run/retry", `{"step":-1}`, 400, nil},
		{"/run/retry", `{"step":99999999999}`, 400, nil},
		{"/run/kill", `{"step":1}`, 400, nil},
		{"/run/kill", `{"reason":"` + strings.Repeat("x", 2000) + `"}`, 400, nil},
		{"/run/kill?force=1", "", 400, nil},
		{"/done/kill", "", 409, nil},
		{"/none/kill", "", 404, nil},
		{"/run/explode", "", 404, nil},
		{"/run/KILL", "", 404, nil},
	} {
		clear(w.commands)
		rec := w.do("alice", "POST "+ownFlows+c.path, c.body)
		w.want(rec, c.status, "")
		if got := w.commands[ownFlow]; !proto.Equal(got, c.want) {
			t.Errorf("%s: command %v", c.path, got)
		}
		if c.status >= 400 {
			var p problem
			if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || p.Status != c.status || p.Code == "" || p.Type != "urn:fairlead:error:"+p.Code {
				t.Errorf("%s: %s", c.path, rec.Body)
			}
		}
	}
	w.writeErr = errors.New("broker away")
	w.want(w.do("alice", "POST "+ownFlows+"/run/kill", ""), 503, "")
}

// Who waits for a command hears what became of it.
func TestCommandsOutcome(t *testing.T) {
	w := newWorld(t, Config{MaxWait: 10 * time.Second})
	decide := func(change func(*flowv1.FlowStatus)) {
		w.put("run", func(*flowv1.FlowStatus) {})
		w.onCommand = func(*flowv1.FlowStatus) { w.put("run", change) }
	}
	post := func(want int) string {
		t.Helper()
		rec := w.do("alice", "POST "+ownFlows+"/run/pause", "", "Prefer: wait=30")
		w.want(rec, want, "")
		return rec.Body.String()
	}
	decide(func(s *flowv1.FlowStatus) {
		s.LastCommand = &flowv1.CommandOutcome{Id: ownCommand, Kind: 2, Detail: "paused", AtUs: 1_700_000_000_000_000}
	})
	want := `"lastCommand":{"id":"` + ownCommand + `","command":"pause","refused":false,"errorId":null,"detail":"paused","at":"2023-11-14T22:13:20Z"},"commandId":"` + ownCommand + `"}`
	if got := strings.TrimSpace(post(200)); !strings.HasSuffix(got, want) {
		t.Errorf("%s, want %s", got, want)
	}
	decide(func(s *flowv1.FlowStatus) {
		s.LastCommand = &flowv1.CommandOutcome{Id: ownCommand, Kind: 2, Refused: true, ErrorId: "FL-FLOW-022", Detail: "FL-FLOW-022: paused already"}
	})
	if got := post(409); !strings.Contains(got, `"code":"FL-FLOW-022"`) || !strings.Contains(got, `"detail":"paused already."`) {
		t.Error(got)
	}
	decide(func(s *flowv1.FlowStatus) { s.State = flowv1.FlowState_FLOW_STATE_COMPLETED })
	if got := post(409); !strings.Contains(got, "FL-REST-021") {
		t.Error(got)
	}
	// Another's command says nothing about this one, and who does not wait is told the id to look for.
	decide(func(s *flowv1.FlowStatus) { s.LastCommand = &flowv1.CommandOutcome{Id: ownFlow, Refused: true} })
	rec := w.do("alice", "POST "+ownFlows+"/run/pause", "")
	w.want(rec, 202, "")
	if !strings.Contains(rec.Body.String(), `"commandId":"`+ownCommand+`"`) {
		t.Error(rec.Body)
	}
	w.server.drain()
	post(202)
}

func TestResultWaits(t *testing.T) {
	w := newWorld(t, Config{MaxWait: 10 * time.Second})
	w.put("r", func(*flowv1.FlowStatus) {})
	done := make(chan struct{})
	go func() {
		defer close(done)
		rec := w.do("alice", "GET "+ownFlows+"/r/result", "", "Prefer: respond-async, wait=30")
		w.want(rec, 200, "")
		if got := rec.Header().Get("Preference-Applied"); got != "wait=10" {
			t.Errorf("applied %q", got)
		}
	}()
	w.put("r", func(s *flowv1.FlowStatus) { s.State = flowv1.FlowState_FLOW_STATE_COMPLETED })
	<-done
	w.put("s", func(*flowv1.FlowStatus) {})
	w.want(w.do("alice", "GET "+ownFlows+"/s/result", ""), 202, "")
	w.want(w.do("alice", "GET "+ownFlows+"/s/result", "", "Prefer: wait=soon"), 400, "")
	w.server.drain()
	w.want(w.do("alice", "GET "+ownFlows+"/s/result", "", "Prefer: wait=30"), 202, "")
}

func journalKey(attempt, step, ordinal uint32) []byte {
	key, err := journalPrefix(ownFlow)
	if err != nil {
		return nil
	}
	for _, n := range []uint32{attempt, step, ordinal} {
		key = binary.BigEndian.AppendUint32(key, n)
	}
	return key
}

func encode(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHistory(t *testing.T) {
	w := newWorld(t, Config{})
	w.put("r", func(*flowv1.FlowStatus) {})
	w.put("away", func(s *flowv1.FlowStatus) { s.FlowId = "00000000-0000-5000-8000-00000000000f" })
	second := int64(1_700_000_000_000_000)
	w.journal = []JournalRow{
		{journalKey(1, 2, 0), &flowv1.JournalRow{Row: &flowv1.JournalRow_End{End: &flowv1.JournalEnd{State: flowv1.FlowState_FLOW_STATE_COMPLETED, Result: []byte(`"ok"`), AtUs: second + 3}}}},
		{journalKey(1, 1, 0), &flowv1.JournalRow{Row: &flowv1.JournalRow_Request{Request: &flowv1.JournalRequest{
			Operation: "sleep", Arguments: encode(t, &appv1.Sleep{DurationUs: 5}), ArgumentsSha256: []byte{1, 2}, AskedAtUs: second, AnsweredAtUs: second + 7,
			Answer: encode(t, &appv1.Answer{Outcome: &appv1.Answer_Error{Error: &appv1.Error{Type: "timeout", Message: "late"}}}),
		}}}},
		{journalKey(1, 0, 0), &flowv1.JournalRow{Row: &flowv1.JournalRow_Start{Start: &flowv1.JournalStart{
			NowUs: second, Start: encode(t, &appv1.Start{FlowClass: "hello", Input: []byte(`{"a":1}`)}),
		}}}},
	}
	w.want(w.do("alice", "GET "+ownFlows+"/r/history", ""), 200, `{"flowId":"`+ownFlow+`","steps":[`+
		`{"attempt":1,"step":0,"ordinal":0,"kind":"start","operation":"hello","arguments":{"a":1},"at":"2023-11-14T22:13:20Z"},`+
		`{"attempt":1,"step":1,"ordinal":0,"kind":"request","operation":"sleep","arguments":{"durationUs":"5"},"argumentsSha256":"0102","at":"2023-11-14T22:13:20Z","answeredAt":"2023-11-14T22:13:20.000007Z","waitedMicros":7,"error":{"type":"timeout","message":"late"}},`+
		`{"attempt":1,"step":2,"ordinal":0,"kind":"end","operation":"COMPLETED","at":"2023-11-14T22:13:20.000003Z","answer":"ok"}]}`)
	w.want(w.do("alice", "GET "+ownFlows+"/away/history", ""), 503, "")
	w.journal = []JournalRow{{Key: []byte("short")}}
	w.want(w.do("alice", "GET "+ownFlows+"/r/history", ""), 500, "")
}

func TestHistoryMarksWhatARetryCut(t *testing.T) {
	row := func(attempt, step uint32) JournalRow {
		return JournalRow{journalKey(attempt, step, 0), &flowv1.JournalRow{Row: &flowv1.JournalRow_Request{Request: &flowv1.JournalRequest{}}}}
	}
	h, err := toHistory(ownFlow, []JournalRow{row(1, 0), row(1, 1), row(1, 2), row(1, 3), row(2, 2), row(2, 3), row(3, 3)})
	if err != nil {
		t.Fatal(err)
	}
	var cut []string
	for _, s := range h.Steps {
		if s.Cut {
			cut = append(cut, fmt.Sprintf("%d.%d", s.Attempt, s.Step))
		}
	}
	if got := strings.Join(cut, " "); got != "1.2 1.3 2.3" {
		t.Errorf("cut: %s", got)
	}
}

func TestVirtualNodesAndHealth(t *testing.T) {
	w := newWorld(t, Config{})
	w.want(w.do("alice", "GET /api/fairlead/v1/health", ""), 200, `{"ready":true,"reasons":[]}`)
	w.server.parts.Healthy = func() (bool, []string) { return false, []string{"flow: recovering"} }
	w.want(w.do("alice", "GET /api/fairlead/v1/health", ""), 503, `{"ready":false,"reasons":["flow: recovering"]}`)
	rec := w.do("alice", "GET /api/fairlead/v1/virtualnode", "")
	if !strings.Contains(rec.Body.String(), `{"shortHash":"253501665E9D","x500Name":"O=Alice, L=London, C=GB","groupId":"g","cpiName":"app","cpiVersion":"1.0","cpiChecksum":"C0FFEE000000","flowStart":"ACTIVE","flowOperation":"ACTIVE"}`) {
		t.Errorf("got %s", rec.Body)
	}
	w.want(w.do("alice", "GET /api/fairlead/v1/Health", ""), 404, "")
}

// The list has what an operator looks for: class, what is waited for, the paused ones alone, and no more than asked for.
func TestOwnStatuses(t *testing.T) {
	w := newWorld(t, Config{})
	for i, id := range []string{"old", "held", "young"} {
		w.put(id, func(s *flowv1.FlowStatus) {
			s.CreatedAtUs, s.FlowClass, s.WaitingFor = int64(i+1)*1_000_000, "pay", "sleep"
			if id == "held" {
				s.Paused, s.WaitingFor = true, "paused by olga"
			}
		})
	}
	for query, want := range map[string]string{
		"": "old held young, 0 left", "?limit=2": "held young, 1 left", "?limit=0": "old held young, 0 left", "?paused=true": "held, 0 left",
		"?paused=false&limit=1": "young, 1 left", "?status=COMPLETED": ", 0 left", "?status=running&limit=9": "old held young, 0 left",
	} {
		rec := w.do("alice", "GET "+ownFlows+query, "")
		w.want(rec, 200, "")
		var got ownStatusesResponse
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v: %s", query, err, rec.Body)
		}
		var ids []string
		for _, f := range got.Flows {
			ids = append(ids, *f.ClientRequestID)
			if f.FlowClass != "pay" || f.WaitingFor == "" || f.Paused != (*f.ClientRequestID == "held") {
				t.Errorf("%s: %+v", query, f)
			}
		}
		if text := fmt.Sprintf("%s, %d left", strings.Join(ids, " "), got.Left); text != want {
			t.Errorf("%q: %s, want %s", query, text, want)
		}
	}
	for query, id := range map[string]string{"?limit=-1": idParameter, "?paused=perhaps": idParameter, "?status=x": idStatusFilter, "?page=1": idParameter} {
		rec := w.do("alice", "GET "+ownFlows+query, "")
		w.want(rec, 400, "")
		if !strings.Contains(rec.Body.String(), id) {
			t.Errorf("%s: %s", query, rec.Body)
		}
	}
	w.want(w.do("nobody", "GET "+ownFlows, ""), 401, "")
}
