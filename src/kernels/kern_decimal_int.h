/*
 * kern_decimal_int.h
 *	  The arithmetic of decimal text to the nearest float, shared by all
 *	  instruction sets.
 *
 * A number is d * 10^e, where d stands for its digits.  As a double the product
 * is known but for a small part of itself: whoever makes d may be off by 3 parts
 * of 2^53, the power and the multiplication by one each.  Where the lower and
 * the upper end of what the number may be are rounded to the same float, that
 * is the float nearest to the number; where they are not, for one number in some
 * thirty million, somebody else decides.
 */
#ifndef LH_KERN_DECIMAL_INT_H
#define LH_KERN_DECIMAL_INT_H

#include "kern_int.h"

/* 8 parts of 2^53: one is for multiplying by them. */
#define LOWER			(1 - 0x1p-50)
#define UPPER			(1 + 0x1p-50)

#define MAX_POWER		60

#define POWERS(S) \
	S 1e-60, S 1e-59, S 1e-58, S 1e-57, S 1e-56, S 1e-55, S 1e-54, S 1e-53, S 1e-52, S 1e-51, \
	S 1e-50, S 1e-49, S 1e-48, S 1e-47, S 1e-46, S 1e-45, S 1e-44, S 1e-43, S 1e-42, S 1e-41, \
	S 1e-40, S 1e-39, S 1e-38, S 1e-37, S 1e-36, S 1e-35, S 1e-34, S 1e-33, S 1e-32, S 1e-31, \
	S 1e-30, S 1e-29, S 1e-28, S 1e-27, S 1e-26, S 1e-25, S 1e-24, S 1e-23, S 1e-22, S 1e-21, \
	S 1e-20, S 1e-19, S 1e-18, S 1e-17, S 1e-16, S 1e-15, S 1e-14, S 1e-13, S 1e-12, S 1e-11, \
	S 1e-10, S 1e-9, S 1e-8, S 1e-7, S 1e-6, S 1e-5, S 1e-4, S 1e-3, S 1e-2, S 1e-1, S 1e0, S 1e1, \
	S 1e2, S 1e3, S 1e4, S 1e5, S 1e6, S 1e7, S 1e8, S 1e9, S 1e10, S 1e11, S 1e12, S 1e13, S 1e14, \
	S 1e15, S 1e16, S 1e17, S 1e18, S 1e19, S 1e20, S 1e21, S 1e22, S 1e23, S 1e24, S 1e25, S 1e26, \
	S 1e27, S 1e28, S 1e29, S 1e30, S 1e31, S 1e32, S 1e33, S 1e34, S 1e35, S 1e36, S 1e37, S 1e38, \
	S 1e39, S 1e40, S 1e41, S 1e42, S 1e43, S 1e44, S 1e45, S 1e46, S 1e47, S 1e48, S 1e49, S 1e50, \
	S 1e51, S 1e52, S 1e53, S 1e54, S 1e55, S 1e56, S 1e57, S 1e58, S 1e59, S 1e60

/* 10^-60 to 10^60, and below zero: a branch on the sign would be wrong half of the time. */
static const double powers[2][128] = {{POWERS(+)}, {POWERS(-)}};

#endif							/* LH_KERN_DECIMAL_INT_H */
