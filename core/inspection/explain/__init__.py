"""Why a network gave an answer: attribution, nearest images, the smallest change."""
