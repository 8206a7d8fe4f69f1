package rest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fairleadio/fairlead/schemas"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	operationv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/operation/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/topics"
)

// This file holds packages: their way in, how far it got, and what is installed.

func (s *Server) cpiRoutes() []route {
	return []route{
		{method: http.MethodGet, pattern: "/cpi", handle: s.listCpis},
		{method: http.MethodPost, pattern: "/cpi", upload: true, handle: s.uploadCpi(false)},
		{method: http.MethodGet, pattern: "/cpi/status/{id}", handle: s.cpiStatus},
		{method: http.MethodPost, pattern: "/maintenance/virtualnode/forcecpiupload", upload: true, handle: s.uploadCpi(true)},
	}
}

// idResponse is an id, as Corda's CpiUploadResponse and KeyPairIdentifier have it.
type idResponse struct {
	ID string `json:"id"`
}

// cpiIdentifier is Corda's CpiIdentifier.
type cpiIdentifier struct {
	Name    string  `json:"cpiName"`
	Version string  `json:"cpiVersion"`
	Signer  *string `json:"signerSummaryHash"`
}

// cpkIdentifier is Corda's CpkIdentifier.
type cpkIdentifier struct {
	Name    string  `json:"name"`
	Version string  `json:"version"`
	Signer  *string `json:"signerSummaryHash"`
}

// cpkMetadata is Corda's CpkMetadata. What a JVM has, a main bundle and libraries, a package of WebAssembly has not.
type cpkMetadata struct {
	ID         cpkIdentifier `json:"id"`
	MainBundle string        `json:"mainBundle"`
	Libraries  []string      `json:"libraries"`
	Type       string        `json:"type"`
	Hash       string        `json:"hash"`
	At         string        `json:"timestamp"`
}

// cpiMetadata is Corda's CpiMetadata.
type cpiMetadata struct {
	ID           cpiIdentifier `json:"id"`
	Checksum     string        `json:"cpiFileChecksum"`
	FullChecksum string        `json:"cpiFileFullChecksum"`
	Cpks         []cpkMetadata `json:"cpks"`
	GroupPolicy  *string       `json:"groupPolicy"`
	At           string        `json:"timestamp"`
}

// cpisResponse is Corda's GetCPIsResponse.
type cpisResponse struct {
	Cpis []cpiMetadata `json:"cpis"`
}

func upperHex(b []byte) string { return strings.ToUpper(hex.EncodeToString(b)) }

func identifierOf(c *cpiv1.Cpi) cpiIdentifier {
	return cpiIdentifier{c.GetName(), c.GetVersion(), pointer(c.GetSignerSummaryHash())}
}

func toCpi(c *cpiv1.Cpi) cpiMetadata {
	out := cpiMetadata{
		ID: identifierOf(c), Checksum: c.GetChecksum(), FullChecksum: upperHex(c.GetFileSha256()), Cpks: []cpkMetadata{},
		GroupPolicy: pointer(string(c.GetGroupPolicy())), At: instant(c.GetUploadedAtUs()),
	}
	for _, k := range c.GetCpks() {
		out.Cpks = append(out.Cpks, cpkMetadata{
			ID: cpkIdentifier{k.GetName(), k.GetVersion(), pointer(k.GetSignerSummaryHash())}, Libraries: []string{}, Type: "FAIRLEAD_WASM",
			Hash: upperHex(k.GetFileSha256()), At: instant(c.GetUploadedAtUs()),
		})
	}
	return out
}

func (s *Server) listCpis(context.Context, *call) (*answer, *failure) {
	out := cpisResponse{Cpis: []cpiMetadata{}}
	for _, m := range s.parts.Views.Cpis.All() {
		if c, ok := m.(*cpiv1.Cpi); ok {
			out.Cpis = append(out.Cpis, toCpi(c))
		}
	}
	return &answer{status: http.StatusOK, body: out}, nil
}

// partBytes is how much of a package file one record carries.
const partBytes = 512 << 10

// uploadCpi takes a package file in. It lies on this machine's disk until it is whole: what breaks off on the way never
// reaches Kafka.
func (s *Server) uploadCpi(force bool) handler {
	return func(ctx context.Context, c *call) (*answer, *failure) {
		file, fail := s.spool(c.parts)
		if fail != nil {
			return nil, fail
		}
		defer file.remove()
		id := newID()
		if err := s.sendParts(ctx, c, file, id, force); err != nil {
			s.parts.Log.Warn("writing an upload failed", "request", id, "error", err)
			return nil, refuse(http.StatusServiceUnavailable, idPublish, "The package could not be written to Kafka: the log of this worker says why. Upload it again.").later(retrySoon)
		}
		// The caller asks for the status next: it should be known then.
		wait, cancel := s.until(ctx, s.cfg.StartTimeout)
		defer cancel()
		if _, err := s.parts.Views.Operations.WaitKey(wait, id, func(_ any, ok bool) bool { return ok }); err != nil {
			return nil, refuse(http.StatusServiceUnavailable, idNoReply,
				"Upload %s was written but not taken by a database worker within %s: ask for its status later.", id, s.cfg.StartTimeout).later(retrySoon)
		}
		return &answer{status: http.StatusOK, body: idResponse{id}}, nil
	}
}

func (s *Server) sendParts(ctx context.Context, c *call, file *spooled, id string, force bool) error {
	parts := uint32((file.size + partBytes - 1) / partBytes)
	for part := range parts {
		data := make([]byte, min(partBytes, file.size-int64(part)*partBytes))
		if _, err := io.ReadFull(file.file, data); err != nil {
			return fmt.Errorf("reading part %d: %w", part, err)
		}
		m := &dbv1.CpiPart{RequestId: id, Actor: c.user, FileName: file.name, Part: part, Parts: parts, Data: data, Force: force}
		if part == parts-1 {
			m.FileSha256 = file.sum
		}
		r := Request{Topic: topics.CpiUpload, Key: id, Msg: m, Codec: schemas.Codec[*dbv1.CpiPart](), ID: id, Trace: traceparent(c.header)}
		if err := s.parts.Requests.Write(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// spooled is an upload on disk.
type spooled struct {
	file *os.File
	name string
	size int64
	sum  []byte
}

func (f *spooled) remove() {
	_ = f.file.Close()
	_ = os.Remove(f.file.Name())
}

// maxFileName bounds the name of a file, which is shown to people, in bytes.
const maxFileName = 255

func (s *Server) spool(parts *multipart.Reader) (*spooled, *failure) {
	part, err := parts.NextPart()
	if err != nil {
		if errors.Is(err, io.EOF) {
			return nil, refuse(http.StatusBadRequest, idMultipart, "Part 'upload' is missing: send the file as curl -F upload=@file.cpi does.")
		}
		return nil, brokenForm(err)
	}
	if !strings.EqualFold(part.FormName(), "upload") {
		return nil, refuse(http.StatusBadRequest, idMultipart, "Unknown part '%s': the file is sent as part 'upload'.", part.FormName())
	}
	noSpace := func(err error) *failure {
		s.parts.Log.Error("keeping an upload failed", "dir", s.cfg.UploadDir, "error", err)
		return refuse(http.StatusServiceUnavailable, idUploadFailed, "The package could not be kept on this worker's disk (%s).", err).later(time.Minute)
	}
	file, err := os.CreateTemp(s.cfg.UploadDir, "upload-*")
	if err != nil {
		return nil, noSpace(err)
	}
	out := &spooled{file: file, name: part.FileName()}
	if len(out.name) > maxFileName {
		out.name = out.name[:maxFileName]
	}
	out.name = strings.ToValidUTF8(out.name, "")
	fail := func() *failure {
		sum := sha256.New()
		var readErr error
		source := io.LimitReader(part, s.cfg.MaxUpload+1)
		out.size, err = io.Copy(io.MultiWriter(file, sum), readerFunc(func(p []byte) (int, error) {
			n, err := source.Read(p)
			if err != nil && !errors.Is(err, io.EOF) {
				readErr = err
			}
			return n, err
		}))
		switch {
		case readErr != nil:
			return brokenForm(readErr)
		case err != nil:
			return noSpace(err)
		case out.size > s.cfg.MaxUpload:
			return refuse(http.StatusBadRequest, idTooLarge, "Content length is over the maximum limit of %d.", s.cfg.MaxUpload)
		case out.size == 0:
			return refuse(http.StatusBadRequest, idMultipart, "Part 'upload' is empty.")
		}
		out.sum = sum.Sum(nil)
		if _, err := file.Seek(0, io.SeekStart); err != nil {
			return noSpace(err)
		}
		return nil
	}()
	if fail != nil {
		out.remove()
		return nil, fail
	}
	return out, nil
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// cpiStatusResponse is Corda's CpiUploadStatus.
type cpiStatusResponse struct {
	Status   string `json:"status"`
	Checksum string `json:"cpiFileChecksum"`
}

func (s *Server) cpiStatus(ctx context.Context, c *call) (*answer, *failure) {
	o, ok := get[*operationv1.OperationStatus](s.parts.Views.Operations, c.vars[varID])
	if !ok || o.GetKind() != operationv1.OperationKind_OPERATION_KIND_CPI_UPLOAD {
		return nil, refuse(http.StatusBadRequest, idNoUpload, "No such requestId=%s", c.vars[varID])
	}
	switch o.GetState() {
	case operationv1.OperationState_OPERATION_STATE_FAILED, operationv1.OperationState_OPERATION_STATE_ABORTED:
		f := failureOf(&rpcv1.Error{Kind: rpcv1.ErrorKind(o.GetErrorKind()), Id: o.GetErrorId(), Message: o.GetError()})
		return nil, f.with(map[string]string{"errorType": f.id, "errorMessage": o.GetError(), "message": o.GetError()})
	case operationv1.OperationState_OPERATION_STATE_SUCCEEDED:
		s.heard(ctx, s.parts.Views.Cpis, o.GetResourceId(), func(_ any, ok bool) bool { return ok }) // it may have been removed since
		return &answer{status: http.StatusOK, body: cpiStatusResponse{"OK", o.GetResourceId()}}, nil
	default:
		return &answer{status: http.StatusOK, body: cpiStatusResponse{o.GetStage(), o.GetResourceId()}}, nil
	}
}

// findCpiByChecksum finds a package by the checksum that callers know it by.
func (s *Server) findCpiByChecksum(ctx context.Context, checksum string) (*cpiv1.Cpi, *failure) {
	key := strings.ToUpper(checksum)
	s.heard(ctx, s.parts.Views.Cpis, key, func(_ any, ok bool) bool { return ok })
	c, ok := s.parts.Views.Cpi(key)
	if !ok {
		known := []string{}
		for key := range s.parts.Views.Cpis.All() {
			known = append(known, key)
		}
		slices.Sort(known)
		return nil, refuse(http.StatusNotFound, idNoCPI, "CPI with file checksum %s was not found: %d are uploaded (GET /cpi lists them).", checksum, len(known))
	}
	return c, nil
}
