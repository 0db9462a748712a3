"""What a lake is made of, as values: names, columns, grants, views and plans. Nothing here touches a disk."""
