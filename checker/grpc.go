// SPDX-License-Identifier: Apache-2.0

package checker

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	reasonNotServing = "not serving"
	reasonGRPC       = "grpc status" // other than 0

	maxGRPC = 4 << 10 // bytes of the answer, which has 7
)

// grpcCheck calls grpc.health.v1.Health/Check by hand: one message of one field each way, over HTTP/2.
type grpcCheck struct {
	config  *Config
	request []byte
}

func newGRPC(c *Config) (Probe, error) {
	message := append([]byte{1<<3 | 2}, binary.AppendUvarint(nil, uint64(len(c.GRPCService)))...) // HealthCheckRequest.service = 1
	message = append(message, c.GRPCService...)
	g := grpcCheck{config: c, request: append(binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message))), message...)}
	return g.run, nil
}

func (g *grpcCheck) run(ctx context.Context) Result {
	scheme, protocols := "http", []string(nil)
	if g.config.TLS.On {
		scheme, protocols = "https", []string{"h2"}
	}
	conn, done, res := open(ctx, g.config, "", maxGRPC+maxHeader+maxTLS, protocols...)
	if res.Err != nil {
		return res
	}
	resp, release, err := roundTrip2(conn, g.httpRequest(ctx, scheme), g.config.Target, 0)
	defer func() { done(); release() }() // in this order
	if err != nil {
		return g.unreadable("call", err)
	}
	if resp.StatusCode != http.StatusOK {
		detail := strings.TrimSpace(strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode))
		return Result{Err: fmt.Errorf("status %s", detail), Reason: reasonStatus, Detail: detail}
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxGRPC+1))
	switch {
	case err != nil:
		return g.unreadable("read answer of", err)
	case len(body) > maxGRPC:
		return failure(reasonTooLarge, fmt.Errorf("answer of %s: over %d bytes", g.config.Target, maxGRPC))
	}
	return judgeGRPC(resp, body)
}

// httpRequest is as the gRPC specification has it ("gRPC over HTTP2", Requests).
func (g *grpcCheck) httpRequest(ctx context.Context, scheme string) *http.Request {
	host := cmp.Or(g.config.TLS.ServerName, hostOf(g.config.Target, scheme))
	r := (&http.Request{
		Method: http.MethodPost,
		URL:    &url.URL{Scheme: scheme, Host: host, Path: "/grpc.health.v1.Health/Check"},
		Host:   host,
		Header: http.Header{
			"Content-Type": {"application/grpc"},
			"Te":           {"trailers"},
			"User-Agent":   {"holdfast"},
		},
		Body:          io.NopCloser(bytes.NewReader(g.request)),
		ContentLength: int64(len(g.request)),
	}).WithContext(ctx)
	if deadline, ok := ctx.Deadline(); ok {
		r.Header["Grpc-Timeout"] = []string{strconv.FormatInt(max(time.Until(deadline).Milliseconds(), 1), 10) + "m"}
	}
	return r
}

// judgeGRPC is the result of an answer that has been read to its end, trailers included.
func judgeGRPC(resp *http.Response, body []byte) Result {
	if !strings.HasPrefix(resp.Header.Get("Content-Type"), "application/grpc") {
		return failure(reasonMalformed, fmt.Errorf("answer is no gRPC but %.64q", resp.Header.Get("Content-Type")))
	}
	trailer := resp.Trailer
	if resp.Header.Get("Grpc-Status") != "" {
		trailer = resp.Header // "Trailers-Only"
	}
	code, err := strconv.Atoi(trailer.Get("Grpc-Status"))
	if err != nil {
		return failure(reasonMalformed, errors.New("answer without grpc-status"))
	}
	if code != 0 {
		detail := detailOf(strings.TrimSpace(grpcCode(code) + " " + trailer.Get("Grpc-Message")))
		return Result{Err: fmt.Errorf("grpc status %s", detail), Reason: reasonGRPC, Detail: detail}
	}
	status, err := servingStatus(body)
	if err != nil {
		return failure(reasonMalformed, fmt.Errorf("answer: %w", err))
	}
	detail := "status " + strconv.FormatUint(status, 10)
	if status < uint64(len(servingStatuses)) {
		detail = servingStatuses[status]
	}
	if status != 1 {
		return Result{Err: fmt.Errorf("serving status %s", detail), Reason: reasonNotServing, Detail: detail}
	}
	return Result{Detail: detail}
}

// servingStatuses are the values of HealthCheckResponse.ServingStatus.
var servingStatuses = [...]string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}

// grpcCode names those codes that a health check meets: without the health service it is UNIMPLEMENTED, and of a service
// that it does not know NOT_FOUND.
func grpcCode(code int) string {
	switch code {
	case 4:
		return "DEADLINE_EXCEEDED"
	case 5:
		return "NOT_FOUND"
	case 7:
		return "PERMISSION_DENIED"
	case 12:
		return "UNIMPLEMENTED"
	case 14:
		return "UNAVAILABLE"
	case 16:
		return "UNAUTHENTICATED"
	}
	return "code " + strconv.Itoa(code)
}

// servingStatus reads HealthCheckResponse.status, field 1, out of the one message of an answer. Other fields are passed
// over; a missing one is 0, UNKNOWN.
func servingStatus(b []byte) (uint64, error) {
	if len(b) < 5 || b[0] != 0 || uint64(binary.BigEndian.Uint32(b[1:])) != uint64(len(b)-5) {
		return 0, errors.New("not one message, uncompressed")
	}
	var status uint64
	for b = b[5:]; len(b) > 0; {
		tag, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, errors.New("not protobuf")
		}
		b = b[n:]
		value, n := binary.Uvarint(b)
		skip := uint64(max(n, 0))
		switch tag & 7 {
		case 0: // varint
		case 1:
			n, skip = 1, 8
		case 2: // length and bytes
			skip += value
		case 5:
			n, skip = 1, 4
		default:
			n = 0
		}
		if n <= 0 || skip > uint64(len(b)) || skip < uint64(n) && tag&7 == 2 {
			return 0, errors.New("not protobuf")
		}
		if tag == 1<<3 {
			status = value
		}
		b = b[skip:]
	}
	return status, nil
}

// unreadable is the result of an answer that could not be read to its end.
func (g *grpcCheck) unreadable(op string, err error) Result {
	res := fault(op, g.config.Target, err)
	if res.Reason == reasonOther { // no network error, so it is what was read
		res.Reason = cmp.Or(explain2(err), reasonMalformed)
	}
	return res
}
