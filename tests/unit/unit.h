/*
 * What every unit test program shares: one suite, run, exit status.
 */
#ifndef BELFRY_TESTS_UNIT_H
#define BELFRY_TESTS_UNIT_H

#include <check.h>
#include <stdlib.h>

/* Run the tests named after @name, each a Check START_TEST function. */
#define UNIT_MAIN(name, ...)                                                \
	int main(void)                                                      \
	{                                                                   \
		const TTest *const tests[] = { __VA_ARGS__ };               \
		Suite *s = suite_create(name);                              \
		TCase *tc = tcase_create(name);                             \
		SRunner *sr;                                                \
		int failed;                                                 \
                                                                            \
		for (size_t i = 0; i < sizeof(tests) / sizeof(*tests); i++) \
			tcase_add_test(tc, tests[i]);                       \
		tcase_set_timeout(tc, 60);                                  \
		suite_add_tcase(s, tc);                                     \
		sr = srunner_create(s);                                     \
		srunner_run_all(sr, CK_NORMAL);                             \
		failed = srunner_ntests_failed(sr);                         \
		srunner_free(sr);                                           \
		return failed ? EXIT_FAILURE : EXIT_SUCCESS;                \
	}

#endif
