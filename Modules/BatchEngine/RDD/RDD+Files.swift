extension RDD {
    /// Writes the elements as text files into a directory, one file per partition.
    ///
    /// Files are named `part-00000`, `part-00001` …, also those of empty partitions; each element
    /// is a line of the text that ``elementText(_:)`` makes. A file appears when it is complete and
    /// on disk, and `_SUCCESS` after all of them. Until then there is a file `_temporary`, also when the
    /// call fails: what is in the directory is not complete. The directory and those above it are
    /// created; when it exists, `_SUCCESS` is removed, files of the same names are replaced and others
    /// stay.
    ///
    /// ## Durability
    /// When the call returns, files and directory have reached the disk.
    ///
    /// - Throws: ``EngineError`` when a partition could not be computed or written. Complete files
    ///   of other partitions may be there then; calling again replaces them.
    @inlinable
    public func saveAsTextFile(
        _ directory: String, file: String = #fileID, line: UInt = #line
    ) async throws {
        let site = OperatorSite("saveAsTextFile", file: file, line: line)
        let run = pipe.run
        let kernel = Kernel(id: .nextDynamic(), site: site) { context, inputs, _ in
            let part = try TextPart(directory, partition: context.partition)
            try run(context, inputs) { try part.append($0) }
            try part.commit()
            return []
        }
        try await write(kernel, to: directory, site)
    }

    /// Runs a kernel that writes a file per partition into a directory, and completes that.
    @usableFromInline
    func write(_ kernel: Kernel, to directory: String, _ site: OperatorSite) async throws {
        try await context.engine.perform("\(site) to \(directory)") {
            try TextPart.begin(directory, site)
            try await run(kernel) { _, _ in }
            try TextPart.finish(directory, site)
        }
    }
}

/// One text file on its way: what is written is seen by nobody before ``commit()``.
@usableFromInline
final class TextPart {
    /// What is in a directory that is not complete, as of other programs that write such ones.
    private static let unfinishedMark = "_temporary"

    private let path: String
    private let temporary: String
    private var file: OpenFile?
    @usableFromInline var text: [UInt8] = []

    /// Opens a file of its own for the attempt.
    @usableFromInline
    init(_ directory: String, partition: Int) throws {
        let number = String(partition)
        let digits = String(repeating: "0", count: max(0, 5 - number.utf8.count)) + number
        path = "\(directory)/part-\(digits)"
        // Readers of such directories pass over names that start with an underscore.
        let unique = String(UInt64.random(in: .min ... .max), radix: 36)
        temporary = "\(directory)/_temporary-\(digits)-\(unique)"
        file = try OpenFile(temporary, .createNew)
        text.reserveCapacity(80 << 10)
    }

    deinit {
        // Not committed: the attempt failed.
        if file != nil { _ = try? FileSystem.remove(temporary) }
    }

    /// Adds a line.
    @inlinable
    func append<Element>(_ element: Element) throws {
        if Element.self == String.self, let string = element as? String {
            text.append(contentsOf: string.utf8)
        } else if Element.self == Int.self, let number = element as? Int {
            append(number: number)
        } else {
            text.append(contentsOf: elementText(element).utf8)
        }
        text.append(UInt8(ascii: "\n"))
        if text.count >= 64 << 10 { try write() }
    }

    /// Adds decimal digits without making a string.
    @inlinable
    func append(number: Int) {
        var rest = number.magnitude
        if number < 0 { text.append(UInt8(ascii: "-")) }
        let start = text.count
        repeat {
            text.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
            rest /= 10
        } while rest > 0
        text[start...].reverse()
    }

    @usableFromInline
    func write() throws {
        try file?.write(text)
        text.removeAll(keepingCapacity: true)
    }

    /// Puts the complete file in its place.
    @usableFromInline
    func commit() throws {
        try write()
        try file?.flush()
        try FileSystem.rename(temporary, to: path, durability: .handedOver)
        file = nil
    }

    /// Makes the directory; one that was complete before is so no longer.
    @usableFromInline
    static func begin(_ directory: String, _ site: OperatorSite) throws {
        do {
            try FileSystem.createDirectory(directory)
            // Before the other goes: readers must not find neither.
            if !FileSystem.exists("\(directory)/\(unfinishedMark)") {
                _ = try OpenFile("\(directory)/\(unfinishedMark)", .replace)
            }
            try FileSystem.remove("\(directory)/_SUCCESS")
        } catch {
            throw EngineError(
                .taskFailed, "the directory could not be created", site: site, underlying: error)
        }
    }

    /// Marks the directory as complete; its flush takes the renames along.
    @usableFromInline
    static func finish(_ directory: String, _ site: OperatorSite) throws {
        let mark = "\(directory)/_SUCCESS"
        do {
            try FileSystem.writeAtomically(mark, [UInt8](), durability: .flushed)
            // Complete it is all the same.
            _ = try? FileSystem.remove("\(directory)/\(unfinishedMark)")
        } catch {
            throw EngineError(
                .taskFailed, "the directory could not be completed", site: site, underlying: error)
        }
    }
}
