package bucket

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"

	"coredrop/core/fault"
)

// answerOf gives what the store said; ok: it said something.
func answerOf(err error) (answer minio.ErrorResponse, ok bool) {
	ok = errors.As(err, &answer)
	return answer, ok
}

// is reports whether the store answered with one of the codes. A HEAD's answer has a
// status only, from which the client library makes a code.
func is(err error, codes ...string) bool {
	answer, ok := answerOf(err)
	if !ok {
		return false
	}
	for _, c := range codes {
		if answer.Code == c {
			return true
		}
	}
	return false
}

// absent reports whether it was answered that there is no such object: other things may
// not be found either, a bucket, an upload or, with Versity's gateway, the user.
func absent(err error) bool {
	answer, ok := answerOf(err)
	return ok && answer.StatusCode == http.StatusNotFound && is(err, "NoSuchKey", "NoSuchVersion", "NotFound")
}

func denied(err error) bool {
	answer, ok := answerOf(err)
	return ok && (answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusUnauthorized || expired(answer))
}

func expired(answer minio.ErrorResponse) bool {
	return answer.Code == "ExpiredToken" || answer.Code == "ExpiredTokenException" || answer.Code == "RequestExpired"
}

// unsigned is the refusal of a request without credentials.
type unsigned struct{ error }

func (u unsigned) Unwrap() error { return u.error }

// bare reports whether a store refused a HEAD, without a word: credentials that have
// ended are one cause.
func bare(answer minio.ErrorResponse) bool {
	return answer.StatusCode == http.StatusBadRequest && strings.HasPrefix(answer.Code, "400 ")
}

// failed words an error that no case of its own has: code says whose it is, doing
// what was done ("could not read s3://b/k").
func failed(ctx context.Context, err error, code fault.Code, doing string) error {
	var known *fault.Error
	switch answer, ok := answerOf(err); {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fault.Wrap(err, fault.Cancelled, "")
	case errors.As(err, &known):
		return known
	case ok && expired(answer):
		return fault.Wrap(err, fault.StoreDenied, "%s: the credentials have expired", doing)
	case ok && answer.Code == "RequestTimeTooSkewed":
		return fault.Wrap(err, fault.StoreDenied, "%s: the clocks of this machine and of the object store differ too much", doing).
			Instead(fault.Step{Text: "set this machine's clock"})
	case errors.As(err, &unsigned{}):
		return fault.Wrap(err, fault.StoreDenied, "%s: the object store refuses it to requests without credentials, and none are found", doing)
	case denied(err):
		return fault.Wrap(err, fault.StoreDenied, "%s: the object store refuses it to these credentials (%s)", doing, cmp.Or(answer.Code, answer.Message))
	case ok && answer.Code == "NoSuchBucket":
		return fault.Wrap(err, code, "%s: there is no such bucket", doing).
			Instead(fault.Step{Text: "is its name right, and is this the store that has it? -s3-endpoint and -s3-region say which one is asked"})
	case ok:
		return fault.Wrap(err, code, "%s: the object store answers %s", doing, said(answer))
	}
	return fault.Wrap(err, code, "%s: the object store did not answer: %s", doing, reason(err))
}

// said is a store's answer in a few words.
func said(answer minio.ErrorResponse) string {
	text := strings.TrimSpace(answer.Message)
	if code := strings.TrimSpace(answer.Code); code != "" && !strings.Contains(text, code) {
		text = strings.TrimSuffix(code+": "+text, ": ")
	}
	return cmp.Or(text, http.StatusText(answer.StatusCode), "with an error")
}

// reason leaves out the address of the request, which says nothing to a reader.
func reason(err error) string {
	text := err.Error()
	var u *url.Error
	if errors.As(err, &u) {
		text = strings.ReplaceAll(u.Err.Error(), " "+u.URL, "")
	}
	return strings.TrimSuffix(text, ". Retry again.")
}

// changed is the refusal of an object that is another one now.
func changed(err error, n Name, how string) error {
	return fault.Wrap(err, fault.FileChanged, "%s %s while it was being read", n, how).
		Instead(fault.Step{Text: "begin again: an object is replaced as a whole, so what is there now is complete"})
}
