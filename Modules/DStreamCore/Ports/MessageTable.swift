/// The page that says what to do about a message: Docs/Messages.md.
package enum MessageTable {
    /// A sentence that leads to an entry of the page, by its name.
    package static func see(_ entry: String) -> String { "See \"\(entry)\" in Docs/Messages.md." }
}
