"""This machine measured: tables from real runs."""
