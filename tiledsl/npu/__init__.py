"""From the tile IR to the program of an Ascend NPU."""
