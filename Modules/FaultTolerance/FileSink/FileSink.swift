public import BatchEngine
public import DStreamCore
internal import Synchronization

/// Writes each batch into files of a directory, exactly once.
///
/// Tasks write and flush staged files, one per partition that has elements. A commit moves them to
/// `data` and then puts a small file into `manifest`, at once and durably, that names them: from then
/// on the batch is there. ``committedFiles(in:on:)`` gives what the manifest says; what lies in `data`
/// beyond it is left from a batch that was not committed, and is removed when that batch will run
/// again. Docs/Formats/FileSink.md describes the files.
///
/// One sink at a time has the directory, in this program or any other.
///
/// ```swift
/// counts.write(to: FileSink("/data/counts"))
/// ```
///
/// ## Durability
/// When a commit returns, files and manifest have reached the disk. A batch costs a flush for each of
/// its files and three more.
public final class FileSink<Element: Sendable>: TransactionalSink {
    /// The directory.
    public let directory: String
    /// `file:` and the directory.
    public var id: String { FileSinkLayout(directory: directory).sink }
    private let medium: any StorageMedium
    private let store: FileSinkStore
    /// Adds elements to bytes: with its loop, so that it is compiled for the type of elements.
    private let encode: @Sendable (ArraySlice<Element>, inout [UInt8]) throws -> Void

    /// Makes a sink of bytes; nothing is touched before the context starts.
    ///
    /// - Parameters:
    ///   - directory: created when missing, one for each output.
    ///   - medium: where it is.
    ///   - fileExtension: what names of data files end with, behind a dot; letters, digits, `-`, `_`
    ///     and dots, anything else is dropped.
    ///   - encode: adds an element to the bytes of a file.
    @inlinable
    public convenience init(
        _ directory: String, on medium: some StorageMedium = FileStorageMedium(),
        fileExtension: String,
        encode: @escaping @Sendable (_ element: Element, _ bytes: inout [UInt8]) throws -> Void
    ) {
        self.init(directory: directory, medium: medium, fileExtension, 1000) { chunk, bytes in
            for element in chunk { try encode(element, &bytes) }
        }
    }

    /// Makes a sink of text: each element is a line of what `elementText` makes of it.
    @inlinable
    public convenience init(
        _ directory: String, on medium: some StorageMedium = FileStorageMedium()
    ) {
        self.init(directory: directory, medium: medium, "txt", 1000) { chunk, bytes in
            for element in chunk {
                bytes.append(contentsOf: elementText(element).utf8)
                bytes.append(UInt8(ascii: "\n"))
            }
        }
    }

    @usableFromInline
    package init(
        directory: String, medium: some StorageMedium, _ fileExtension: String,
        _ batchesPerSegment: Int,
        _ encode: @escaping @Sendable (ArraySlice<Element>, inout [UInt8]) throws -> Void
    ) {
        self.directory = directory
        self.medium = medium
        self.encode = encode
        store = FileSinkStore(
            directory: directory, medium: medium, fileExtension: fileExtension,
            batchesPerSegment: batchesPerSegment)
    }

    /// As ``recover(_:)``, without a checkpoint to resume from.
    public func recover(slide: Duration) async throws -> CommittedBatches {
        try await recover(SinkStart(slide: slide))
    }

    /// Takes the directory, removes what was not committed of batches that will run again, and tells
    /// what is.
    ///
    /// Without a checkpoint to resume from, nothing in `data` is removed.
    ///
    /// Complexity: reads the beginnings of the manifest's files, of which there is one per thousand
    /// batches, and the names in `data`: about a microsecond for each file.
    ///
    /// - Throws: ``DStreamCore/SinkError`` `.damaged` when there are files of a batch that has
    ///   completed and is not in the manifest. No file was changed or removed then; directories that
    ///   were missing may have been made.
    public func recover(_ start: SinkStart) async throws -> CommittedBatches {
        try await blocking(nil) { try $0.recover(start) }
    }

    /// Writes and flushes a staged file; a partition without elements has none.
    public func prepare(
        _ elements: PartitionChunks<Element>, _ task: TaskContext
    ) async throws -> StagedFile? {
        if elements.elementCount == 0 { return nil }
        let batch = task.batchTime ?? .zero
        do {
            return try store.stage(batch, task.partition, elements.elementCount) { write in
                var bytes: [UInt8] = []
                for chunk in elements {
                    try task.checkCancellation()
                    try encode(chunk, &bytes)
                    guard bytes.count >= 64 << 10 else { continue }
                    try write(bytes)
                    bytes.removeAll(keepingCapacity: true)
                }
                try write(bytes)
            }
        } catch let error as StorageError {
            throw store.error(error, batch)
        }
    }

    /// Moves the staged files to `data` and adds the batch to the manifest.
    public func commit(_ prepared: [StagedFile?], batch: BatchTime) async throws {
        let files = prepared.compactMap(\.self)
        try await blocking(batch) { try $0.commit(files, batch) }
    }

    /// Removes staged files, and what a commit that failed had moved to `data`.
    public func discard(_ prepared: [StagedFile?], batch: BatchTime) async {
        let files = prepared.compactMap(\.self)
        _ = try? await blocking(batch) { $0.discard(files, of: batch) }
    }

    /// Gives the directory back.
    public func close() async { store.close() }

    private func blocking<Value: Sendable>(
        _ batch: BatchTime?, _ body: @escaping @Sendable (FileSinkStore) throws -> Value
    ) async throws -> Value {
        do {
            return try await medium.perform { [store] _ in try body(store) }
        } catch let error as StorageError {
            throw store.error(error, batch)
        }
    }
}
