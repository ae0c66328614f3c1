/// What batches have read, and Spark's rule for what one reads: it reads neither disk nor clock.
///
/// By that rule a file is read by the first batch that is not before its modification time, if that
/// time lies within the window before the batch and after the start. The window of a batch reaches
/// back to where that of a batch right after the one before it would: what batches that were skipped
/// would have read is this one's. A path that a remembered batch has read is not read again, changed
/// or not. Asked again for a remembered batch, the answer is the same.
package struct FileSelection: Sendable {
    /// A file or directory in a listing.
    package struct Entry: Sendable, Hashable {
        /// The path.
        package let path: String
        /// When it was last modified, by the clock that stamps files.
        package let modified: BatchTime
        /// Its number in its file system.
        package let inode: UInt64
        /// Changes with its length and with its modification time.
        package let print: UInt32
        /// When it was made, as a hash; 0: the file system does not say.
        package let birth: UInt32
        /// How long it is.
        package let byteCount: Int

        /// States what was listed.
        package init(
            path: String, modified: BatchTime, inode: UInt64 = 0, print: UInt32 = 0,
            birth: UInt32 = 0, byteCount: Int = 0
        ) {
            self.path = path
            self.modified = modified
            self.inode = inode
            self.print = print
            self.birth = birth
            self.byteCount = byteCount
        }
    }

    /// What a batch has read.
    package struct Batch: Sendable, Hashable {
        /// The batch.
        package let time: BatchTime
        /// The files, in the order of the listing.
        package let files: [ChosenFile]

        /// States what a batch has read.
        package init(time: BatchTime, files: [ChosenFile]) {
            self.time = time
            self.files = files
        }

        var paths: [ExactPath] { files.map { ExactPath($0.path) } }
    }

    /// What Spark's rule says of a time.
    package enum Verdict: Sendable, Hashable {
        /// The batch reads it.
        case due
        /// A later batch will read it, after so long.
        case waits(Duration)
        /// No batch will read it.
        case tooOld
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
        recent = Set(batches.flatMap(\.paths))
    }

    /// What a batch has read, if that is remembered.
    package func files(of batch: BatchTime) -> [ChosenFile]? {
        batches.last { $0.time <= batch }.flatMap { $0.time == batch ? $0.files : nil }
    }

    /// Whether a batch is before one that has chosen: it can get nothing any more.
    package func isPast(_ batch: BatchTime) -> Bool {
        batches.last.map { $0.time > batch } ?? false
    }

    /// Whether a name may be read at all: with `_` or `.` begin those of files on their way.
    package static func isVisible(_ name: String) -> Bool {
        !name.hasPrefix("_") && !name.hasPrefix(".")
    }

    /// The earliest batch in place of which this one chooses: it follows the one before.
    private func first(for batch: BatchTime) -> BatchTime {
        batches.last.map { min(batch, $0.time + slide) } ?? batch
    }

    /// Forgets what matters to no batch from this one on, as if the one before it had just ended.
    ///
    /// - Parameter remembered: how long to remember at least, beyond the window.
    package mutating func prepare(for batch: BatchTime, remembering remembered: Duration = .zero) {
        let oldest = first(for: batch) - slide - max(window, remembered)
        let old = batches.prefix { $0.time < oldest }
        for batch in old { recent.subtract(batch.paths) }
        batches.removeFirst(old.count)
    }

    /// Whether a path was read by a remembered batch.
    package func hasRead(_ path: String) -> Bool { recent.contains(ExactPath(path)) }

    /// Remembers what a batch reads that is later than all that are remembered.
    package mutating func adopt(_ files: [ChosenFile], for batch: BatchTime) {
        batches.append(Batch(time: batch, files: files))
        recent.formUnion(batches[batches.count - 1].paths)
    }

    /// Whether a batch reads what was modified at a time.
    ///
    /// - Parameter shifts: by how much the clock of batches may be ahead of the one that stamped it.
    package func verdict(
        on modified: BatchTime, for batch: BatchTime, shifts: [Duration] = [.zero]
    ) -> Verdict {
        let oldest = max(start, first(for: batch) - window)
        var wait: Duration?
        for shift in shifts {
            let time = modified + shift
            if time <= oldest { continue }
            if time <= batch { return .due }
            wait = min(wait ?? time - batch, time - batch)
        }
        return wait.map { .waits($0) } ?? .tooOld
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
