"""Measurements that docs/performance.md quotes, each a module to run."""
