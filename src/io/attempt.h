/* SPDX-License-Identifier: MIT */
/*
 * The system calls of the operations, none of which blocks: what the engines that wait for readiness
 * have in common. An operation is tried when it is submitted and again when the kernel has reported
 * the descriptor.
 */
#pragma once

#include <stdint.h>

struct wf_op;

/* Tries an operation; returns its result, or -EAGAIN if it would block, and keeps the hints of the
 * file true. */
int64_t wf_attempt(struct wf_op *op);
