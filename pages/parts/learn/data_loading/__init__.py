"""The lab on data loading, one module a view."""
