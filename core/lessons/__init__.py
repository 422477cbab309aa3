"""Lessons: pages in an order, with a text for each, that leave out or fix what a class is not to see or to change."""

from core.lessons.kept import (
    MOST,
    MOST_OWN,
    SHIPPED,
    Kept,
    LessonError,
    as_code,
    change_lesson,
    delete_lesson,
    find_lesson,
    is_code,
    is_kept,
    keep_lesson,
    kept_lessons,
    may_change,
    read_kept,
    shipped_lessons,
)
from core.lessons.lesson import LONGEST, MOST_STEPS, Lesson, Step, read_lesson, settings_of, value_of
from core.lessons.pages import PAGES, PICKERS, SECTIONS, Page
from core.lessons.wall import LONGEST_NAME, told_apart, wall_name

__all__ = ["LONGEST", "LONGEST_NAME", "MOST", "MOST_OWN", "MOST_STEPS", "PAGES", "PICKERS", "SECTIONS", "SHIPPED", "Kept",
           "Lesson", "LessonError", "Page", "Step", "as_code", "change_lesson", "delete_lesson", "find_lesson", "is_code",
           "is_kept", "keep_lesson", "kept_lessons", "may_change", "read_kept", "read_lesson", "settings_of", "shipped_lessons",
           "value_of", "told_apart", "wall_name"]
