/* time.c - the calendar. Days are counted from 1 March of the year 0, so that leap days come last. */
#include <time.h>

struct tm *
gmtime_r(const time_t *restrict t, struct tm *restrict tm)
{
	long days = *t / 86400 - (*t % 86400 < 0), rest = *t - days * 86400;
	long day = days + 719468;                       /* since 0000-03-01 */
	long era = (day >= 0 ? day : day - 146096) / 146097;
	long doe = day - era * 146097;                  /* day of the 400-year era */
	long yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	long doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	long m = (5 * doy + 2) / 153;                   /* 0 is March */
	long year = yoe + era * 400 + (m >= 10);
	int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	tm->tm_sec = rest % 60;
	tm->tm_min = rest / 60 % 60;
	tm->tm_hour = rest / 3600;
	tm->tm_mday = doy - (153 * m + 2) / 5 + 1;
	tm->tm_mon = m < 10 ? m + 2 : m - 10;
	tm->tm_year = year - 1900;
	tm->tm_wday = ((days + 4) % 7 + 7) % 7;
	tm->tm_yday = m >= 10 ? doy - 306 : doy + 59 + leap;
	tm->tm_isdst = 0;
	return tm;
}
