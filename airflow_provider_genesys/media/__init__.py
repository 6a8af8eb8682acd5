"""Recordings themselves: find them, fetch them, keep them."""
