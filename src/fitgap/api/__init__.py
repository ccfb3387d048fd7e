"""What `import fitgap` offers to programs and notebooks: studies, their runs and comparisons."""
