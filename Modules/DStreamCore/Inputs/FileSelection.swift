/// Decides which files a batch reads: fed with listings, it reads neither disk nor clock.
///
/// A file is read by the first batch that is not before its modification time, if that time lies
/// within the window before the batch and after the start. A path that a remembered batch has read
/// is not read again, changed or not. Asked again for a remembered batch, the answer is the same.
package struct FileSelection: Sendable {
    /// A file or directory in a listing.
    package struct Entry: Sendable, Hashable {
        /// The path.
        package let path: String
        /// When it was last modified.
        package let modified: BatchTime

        /// States what was listed.
        package init(path: String, modified: BatchTime) {
            self.path = path
            self.modified = modified
        }
    }

    /// What a batch has read.
    package struct Batch: Sendable, Hashable {
        /// The batch.
        package let time: BatchTime
        /// The paths, in the order of the listing.
        package let paths: [String]

        /// States what a batch has read.
        package init(time: BatchTime, paths: [String]) {
            self.time = time
            self.paths = paths
        }
    }

    /// The time between batches.
    package let slide: Duration
    /// How old a file may be.
    package let window: Duration
    /// What was modified then or before is never read.
    package let start: BatchTime
    /// What the remembered batches have read, oldest first.
    package private(set) var batches: [Batch]
    private var recent: Set<ExactPath>

    /// Creates a selection.
    ///
    /// - Parameters:
    ///   - slide: the time between batches.
    ///   - window: how old a file may be.
    ///   - start: what was modified then or before is never read.
    ///   - batches: what earlier batches have read, oldest first.
    package init(slide: Duration, window: Duration, start: BatchTime, batches: [Batch] = []) {
        self.slide = slide
        self.window = window
        self.start = start
        self.batches = batches
        recent = Set(batches.flatMap(\.paths).map(ExactPath.init))
    }

    /// What a batch has read, if that is remembered.
    package func paths(of batch: BatchTime) -> [String]? {
        batches.last { $0.time <= batch }.flatMap { $0.time == batch ? $0.paths : nil }
    }

    /// Whether a name may be read at all: with `_` or `.` begin those of files on their way.
    package static func isVisible(_ name: String) -> Bool {
        !name.hasPrefix("_") && !name.hasPrefix(".")
    }

    /// Forgets what matters to no batch from this one on, as if the one before it had just ended.
    ///
    /// - Parameter remembered: how long to remember at least, beyond the window.
    package mutating func prepare(for batch: BatchTime, remembering remembered: Duration = .zero) {
        let oldest = batch - slide - max(window, remembered)
        let old = batches.prefix { $0.time < oldest }
        for batch in old { recent.subtract(batch.paths.map(ExactPath.init)) }
        batches.removeFirst(old.count)
    }

    /// Whether a path was read by a remembered batch: what else is known of it does not matter.
    package func hasRead(_ path: String) -> Bool { recent.contains(ExactPath(path)) }

    /// Remembers what an earlier run chose for a batch that is later than all that are remembered.
    package mutating func adopt(_ paths: [String], for batch: BatchTime) {
        recent.formUnion(paths.map(ExactPath.init))
        batches.append(Batch(time: batch, paths: paths))
    }

    /// Chooses what a batch reads and remembers it.
    ///
    /// - Parameters:
    ///   - listing: what is there now.
    ///   - batch: the batch; one before the newest that is not remembered gets nothing.
    ///   - remembered: how long to remember at least, beyond the window.
    package mutating func select(
        from listing: [Entry], for batch: BatchTime, remembering remembered: Duration = .zero
    ) -> [String] {
        if let paths = paths(of: batch) { return paths }
        if let newest = batches.last?.time, newest > batch { return [] }
        prepare(for: batch, remembering: remembered)
        let oldest = max(start, batch - window)
        var chosen: [String] = []
        for entry in listing where entry.modified > oldest && entry.modified <= batch {
            if recent.insert(ExactPath(entry.path)).inserted { chosen.append(entry.path) }
        }
        batches.append(Batch(time: batch, paths: chosen))
        return chosen
    }
}

/// A path that is the same only with the same bytes, as for the file system: strings are equal also
/// when they are only written the same, with accents put together or apart.
struct ExactPath: Sendable, Hashable {
    let text: String

    init(_ text: String) { self.text = text }

    static func == (left: ExactPath, right: ExactPath) -> Bool {
        left.text.utf8.elementsEqual(right.text.utf8)
    }

    func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}
