internal import BatchEngine
package import DStreamCore

/// The names in the directory of a ``FileSink``.
package struct FileSinkLayout: Sendable {
    let directory: String

    package init(directory: String) { self.directory = directory }

    /// The sink's id, as errors name it.
    var sink: String { "file:" + directory }
    var lock: String { directory + "/lock" }
    var data: String { directory + "/data" }
    var staged: String { directory + "/staged" }
    var manifest: String { directory + "/manifest" }

    private static let batchPrefix = "batch-"
    private static let segmentPrefix = "segment-"
    /// No program ever comes so far.
    static let greatestSegment = 1 << 62

    func path(of batch: BatchTime) -> String {
        "\(manifest)/\(Self.batchPrefix)\(batch.milliseconds)"
    }

    func path(ofSegment number: Int) -> String {
        "\(manifest)/\(Self.segmentPrefix)\(number.padded(to: 9))"
    }

    /// What a file of the manifest is.
    enum Kind: Hashable {
        case batch(BatchTime)
        case segment(Int)
        /// One that was being written when the program ended.
        case leftover
    }

    static func kind(ofManifest name: String) -> Kind? {
        if name.hasSuffix(".tmp") { return .leftover }
        if let time = Int64(name.dropFirst(batchPrefix.count)), name == batchPrefix + "\(time)" {
            return .batch(BatchTime(milliseconds: time))
        }
        if let number = Int(name.dropFirst(segmentPrefix.count)),
            (0...greatestSegment).contains(number),
            name == segmentPrefix + number.padded(to: 9)
        {
            return .segment(number)
        }
        return nil
    }

    /// Whether a file names committed batches.
    static func isOfManifest(_ name: String) -> Bool {
        switch kind(ofManifest: name) {
        case .batch, .segment: true
        case .leftover, nil: false
        }
    }

    /// `TIME-PARTITION-NUMBER`, with a number that tells the tries apart.
    static func dataName(_ batch: BatchTime, _ partition: Int, _ number: Int) -> String {
        "\(batch.milliseconds)-\(partition.padded(to: 5))-\(number)"
    }

    /// The batch of a data file; nil: not one of ours.
    package static func batch(ofData name: String) -> BatchTime? {
        var name = name
        return name.withUTF8 { bytes -> BatchTime? in
            var rest = bytes[...]
            let isNegative = rest.first == UInt8(ascii: "-")
            if isNegative { rest.removeFirst() }
            guard let time = number(&rest, digits: 1),
                rest.popFirst() == UInt8(ascii: "-"), number(&rest, digits: 5) != nil,
                rest.popFirst() == UInt8(ascii: "-"), number(&rest, digits: 1) != nil,
                rest.isEmpty || rest.first == UInt8(ascii: ".")
            else { return nil }
            return BatchTime(milliseconds: isNegative ? -time : time)
        }
    }

    /// Takes a number of at least so many digits from the front; nil: there is none, or too long a
    /// one for a file that the sink has written.
    private static func number(
        _ bytes: inout Slice<UnsafeBufferPointer<UInt8>>, digits: Int
    ) -> Int64? {
        var number: Int64 = 0
        var count = 0
        while let byte = bytes.first, UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte {
            guard count < 18 else { return nil }
            number = number * 10 + Int64(byte - UInt8(ascii: "0"))
            count += 1
            bytes.removeFirst()
        }
        return count >= digits ? number : nil
    }

    // MARK: Reading

    func read(_ path: String, _ medium: any StorageMedium) throws -> [CommittedFiles] {
        try FileSinkManifest.read(try medium.readAll(path), path: path, sink: sink)
    }

    /// Reads the beginning of a manifest file: its ranges, mostly one or two.
    func readRanges(
        _ path: String, _ medium: any StorageMedium
    ) throws -> [CommittedBatches.Range] {
        let file = try medium.open(path, .read)
        var count = 1 << 10
        while true {
            let bytes = try file.read(at: 0, count: count)
            do {
                return try FileSinkManifest.readRanges(bytes, path: path, sink: sink)
            } catch let error as SinkError
                where error.code == .damaged && bytes.count == count && count < 1 << 24
            {
                // The head may be longer.
                count *= 4
            }
        }
    }
}

extension FileSinkLayout {
    /// The batches that the manifest names, in the order of their times.
    package func committed(on medium: some StorageMedium) throws -> [CommittedFiles] {
        var batches: [BatchTime: CommittedFiles] = [:]
        var known: Set<String> = []
        var missing: Set<String> = []
        // Files of single batches go once they are in a segment, also while names are listed: only a
        // list without anything new shows that nothing was missed.
        while true {
            let new = try medium.list(manifest).filter { name in
                !known.contains(name) && Self.isOfManifest(name)
            }
            if new.isEmpty { return batches.values.sorted { $0.batch < $1.batch } }
            var failure: StorageError?
            for name in new {
                do {
                    for entry in try read(manifest + "/" + name, medium) {
                        batches[entry.batch] = entry
                    }
                    known.insert(name)
                } catch let error as StorageError where error.code == .notFound {
                    failure = error
                }
            }
            // What was put into a segment is not listed again; a link to nowhere is, for ever.
            if let failure, missing == Set(new) { throw failure }
            missing = Set(new).subtracting(known)
        }
    }
}

extension FileSink {
    /// The batches that are committed in a directory, in the order of their times.
    ///
    /// May be called while a program writes there, by any program: it takes no lock, and finds each
    /// batch whole or not at all.
    ///
    /// - Throws: ``DStreamCore/SinkError`` `.damaged` or `.unsupported`; ``StorageError``.
    /// - Complexity: reads the whole manifest.
    public static func committedBatches(
        in directory: String, on medium: some StorageMedium = FileStorageMedium()
    ) async throws -> [CommittedFiles] {
        let layout = FileSinkLayout(directory: directory)
        return try await medium.perform { try layout.committed(on: $0) }
    }

    /// The paths of all committed files, batch by batch and in the order of partitions.
    ///
    /// - Throws: as ``committedBatches(in:on:)``.
    public static func committedFiles(
        in directory: String, on medium: some StorageMedium = FileStorageMedium()
    ) async throws -> [String] {
        try await committedBatches(in: directory, on: medium).flatMap { batch in
            batch.files.map { directory + "/" + $0.path }
        }
    }
}
