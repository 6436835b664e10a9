"""Images: folders by class, IDX, and those with boxes (VOC, COCO)."""
