static inline __attribute__((always_inline)) int inner(int x)
{
	return x * x + 7;
}

static inline __attribute__((always_inline)) int middle(int x)
{
	return inner(x + 1) - 3;
}

int outer(int x, volatile int *p)
{
	*p = x;
	if (x > 3)
		*p = middle(x);
	return *p;
}

__attribute__((section(".text.second"))) int second(volatile int *p)
{
	return inner(*p);
}
