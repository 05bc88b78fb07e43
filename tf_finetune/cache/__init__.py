"""What the frozen part of a network says of a picture, computed once."""
