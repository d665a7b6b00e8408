"""Data sets out of tables that others wrote: long tables and the M5 data."""
