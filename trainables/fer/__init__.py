"""Parts of the expression teacher's training: faces, their random views, measuring."""
