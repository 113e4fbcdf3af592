// Package bucket reads and writes objects in a store that speaks S3: ranges of one
// version of an object, uploads in parts of which the store copies some itself from
// another object, and objects that are made only where none is. It knows nothing of
// cores and dumps.
//
// Source: Amazon S3 API Reference, 2006-03-01: GetObject, UploadPart,
// UploadPartCopy, CompleteMultipartUpload and their conditional headers.
package bucket

import (
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"coredrop/core/fault"
)

// awsHost is where stores are looked for when no endpoint is named.
const awsHost = "s3.amazonaws.com"

const (
	// attempts is how often a request is sent before its failure is one.
	attempts = 5
	// copyWithin is how long a store may think before it answers, where it copies up to
	// 5 GiB in between.
	copyWithin = 5 * time.Minute
	// roleWithin is how long the machine's own service for credentials may take:
	// where there is none, nobody answers.
	roleWithin = 2 * time.Second
)

// answerWithin is how long it may think otherwise.
var answerWithin = 30 * time.Second

// Options say which store is meant. What is empty is taken from the environment.
type Options struct {
	// Endpoint is the store's URL, http or https. Empty: AWS_ENDPOINT_URL_S3,
	// AWS_ENDPOINT_URL, else Amazon's. A store that is named is asked in path style
	// (https://store/bucket/key), Amazon's by host name.
	Endpoint string
	// Region is what requests are signed for. Empty: AWS_REGION, AWS_DEFAULT_REGION,
	// else Amazon is asked, and others take us-east-1.
	Region string
	// Renewal is how often a run renews its mark; 0: the constant of that name.
	Renewal time.Duration
	// Agent is the User-Agent's first word.
	Agent, Version string
}

// Store is an object store with the credentials for it. Its methods may be called
// from several goroutines.
type Store struct {
	core    *minio.Core
	copier  *minio.Core // the same, with more patience
	creds   *credentials.Credentials
	signs   bool          // there are any
	renewal time.Duration // of marks
}

// Open finds credentials as the usual tools do: the environment
// (AWS_ACCESS_KEY_ID …), the profile files (AWS_PROFILE), the role of the machine or
// the container; without any, requests are not signed, which public objects allow.
// Nothing but that is asked before the first object is.
func Open(o Options) (*Store, error) {
	endpoint := cmp.Or(o.Endpoint, os.Getenv("AWS_ENDPOINT_URL_S3"), os.Getenv("AWS_ENDPOINT_URL"))
	region := cmp.Or(o.Region, os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"))
	u := &url.URL{Scheme: "https", Host: awsHost}
	lookup := minio.BucketLookupAuto
	if endpoint != "" {
		var err error
		if u, err = url.Parse(endpoint); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return nil, fault.New(fault.BadOption, "the object store's endpoint is an URL such as https://store.example:9000, not %q", endpoint)
		}
		if u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
			return nil, fault.New(fault.BadOption, "the object store's endpoint is a scheme and a host only: credentials, paths and queries do not belong there")
		}
		if !strings.HasSuffix(u.Hostname(), ".amazonaws.com") {
			lookup = minio.BucketLookupPath
			region = cmp.Or(region, "us-east-1")
		}
	}
	creds, signs := find()
	client := func(within time.Duration) (*minio.Core, error) {
		transport, err := minio.DefaultTransport(u.Scheme == "https")
		if err != nil {
			return nil, fmt.Errorf("the object store's client: %w", err)
		}
		transport.ResponseHeaderTimeout = within
		core, err := minio.NewCore(u.Host, &minio.Options{
			Creds: creds, Secure: u.Scheme == "https", Region: region, BucketLookup: lookup,
			Transport: transport, MaxRetries: attempts,
		})
		if err != nil {
			return nil, fault.Wrap(err, fault.BadOption, "the object store's endpoint %s cannot be used: %v", u.Host, err)
		}
		core.SetAppInfo(cmp.Or(o.Agent, "coredrop"), cmp.Or(o.Version, "0"))
		return core, nil
	}
	core, err := client(answerWithin)
	if err != nil {
		return nil, err
	}
	copier, err := client(copyWithin)
	if err != nil {
		return nil, err
	}
	return &Store{core, copier, creds, signs, cmp.Or(o.Renewal, Renewal)}, nil
}

// find gives credentials that are fetched anew when they end. Where there are none
// (ok is false) that is settled once: else every request would ask the machine's
// service again.
func find() (c *credentials.Credentials, ok bool) {
	providers := []credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}}
	if !strings.EqualFold(os.Getenv("AWS_EC2_METADATA_DISABLED"), "true") || inContainer() {
		providers = append(providers, &credentials.IAM{Client: &http.Client{Timeout: roleWithin}})
	}
	chain := credentials.NewChainCredentials(providers)
	if v, err := chain.GetWithContext(&credentials.CredContext{Client: http.DefaultClient}); err == nil && v.AccessKeyID != "" {
		return chain, true
	}
	return credentials.NewStatic("", "", "", credentials.SignatureAnonymous), false
}

// inContainer reports whether the environment names where a container's role, or a
// web identity's, is to be had: that is another service than the machine's.
func inContainer() bool {
	for _, name := range []string{"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_WEB_IDENTITY_TOKEN_FILE"} {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}

// ask does something, and again where the answer was cut; once more with other
// credentials where those it had have ended: a profile's file may have been written
// anew.
func (s *Store) ask(do func() error) error {
	err := do()
	for n := 1; n < attempts && cut(err); n++ {
		err = do()
	}
	if answer, ok := answerOf(err); ok && (expired(answer) || bare(answer)) {
		s.creds.Expire()
		err = do()
	}
	if !s.signs && denied(err) {
		err = unsigned{err}
	}
	return err
}

// cut reports whether an answer ended early; the client library tries only requests
// again.
func cut(err error) bool {
	var syntax *xml.SyntaxError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &syntax)
}

// retry does something that reads a stream, which the client library therefore does
// once, until it succeeds or fails for good.
func (s *Store) retry(ctx context.Context, do func() error) error {
	pause := minio.DefaultRetryUnit
	for n := 1; ; n++ {
		err := s.ask(do)
		if err == nil || n == attempts || ctx.Err() != nil || !temporary(err) {
			return err
		}
		select {
		case <-time.After(pause):
			pause *= 2
		case <-ctx.Done():
			return err
		}
	}
}

// temporary reports whether another attempt may succeed: an answer of the store that
// says so, or none at all.
func temporary(err error) bool {
	var known *fault.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) {
		return false
	}
	var answer minio.ErrorResponse
	if !errors.As(err, &answer) {
		return true
	}
	switch answer.Code {
	case "SlowDown", "InternalError", "RequestTimeout", "Throttling", "BadDigest", "IncompleteBody":
		return true
	}
	return answer.StatusCode >= 500 && answer.StatusCode != http.StatusNotImplemented || answer.StatusCode == http.StatusTooManyRequests
}
