"""Folder trees and the calls that make their bytes durable."""
