package upstream

import "context"

type viaKey struct{}

// WithVia gives a context in which the requests have a Via header: the names of
// the proxies that pass them on, by which one recognizes its own.
func WithVia(ctx context.Context, via string) context.Context {
	return context.WithValue(ctx, viaKey{}, via)
}

func viaOf(ctx context.Context) string {
	via, _ := ctx.Value(viaKey{}).(string)
	return via
}
