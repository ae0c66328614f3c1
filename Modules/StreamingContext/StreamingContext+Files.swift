internal import BatchEngine
public import DStreamCore

extension StreamingContext {
    /// The lines of the text files that appear in a directory.
    ///
    /// Text is UTF-8; `\n`, `\r\n` and `\r` end a line, and bytes that are no UTF-8 are repaired.
    /// See ``fileStream(_:recursive:filter:newFilesOnly:file:line:)`` for which files are read, and
    /// when.
    public func textFileStream(
        _ directory: String, recursive: Bool = false, file: String = #fileID, line: UInt = #line
    ) -> DStream<String> {
        let site = OperatorSite("textFileStream", file: file, line: line)
        return files(in: directory, recursive: recursive, .lines(), site)
    }

    /// The lines of the text files that appear in a directory, each with the number of the byte in
    /// its file where it begins.
    ///
    /// A file that was not there when the context was started is read once, by the next batch; the
    /// configuration's `fileStreamDetection` says by which rule. Files must appear complete: written
    /// elsewhere in the same file system, then renamed. Names that begin with `_` or `.` are never
    /// read. Any other file that is not read is reported once, to the logger, with the reason.
    ///
    /// Only files directly in the directory are read, unless it is a pattern or `recursive`. A
    /// directory that something is saved into, as by `saveAsTextFiles`, is read when it is complete:
    /// while it holds `_temporary` and no `_SUCCESS`, it is left alone.
    ///
    /// A file that cannot be read fails its batch; files of other batches are not affected.
    ///
    /// - Parameters:
    ///   - directory: a path, in which `*`, `?`, `[a-z]` and `{one,other}` stand for many; it need
    ///     not exist yet.
    ///   - recursive: whether files are read at any depth below the directory. Links to directories
    ///     are not followed there.
    ///   - filter: which files are read, by path. It does not choose among directories.
    ///   - newFilesOnly: whether files that were there at the start are skipped.
    public func fileStream(
        _ directory: String, recursive: Bool = false,
        filter: @escaping @Sendable (String) -> Bool = { _ in true }, newFilesOnly: Bool = true,
        file: String = #fileID, line: UInt = #line
    ) -> DStream<(Int, String)> {
        let site = OperatorSite("fileStream", file: file, line: line)
        return files(
            in: directory, recursive: recursive, filter: filter, newFilesOnly: newFilesOnly,
            .offsetLines(), site)
    }

    /// The records of the binary files that appear in a directory.
    ///
    /// See ``fileStream(_:recursive:filter:newFilesOnly:file:line:)`` for which files are read, and
    /// when.
    ///
    /// - Parameter recordLength: the bytes of each record, at least 1; a file whose length is no
    ///   multiple fails its batch.
    public func binaryRecordsStream(
        _ directory: String, recordLength: Int, recursive: Bool = false, file: String = #fileID,
        line: UInt = #line
    ) -> DStream<[UInt8]> {
        let site = OperatorSite("binaryRecordsStream", file: file, line: line)
        if recordLength < 1 {
            graph.record(
                StreamError(
                    .badDeclaration, "recordLength is \(recordLength); it must be at least 1",
                    site: site))
        }
        return files(in: directory, recursive: recursive, .records(of: recordLength), site)
    }

    private func files<Element: Sendable>(
        in directory: String, recursive: Bool,
        filter: @escaping @Sendable (String) -> Bool = { _ in true }, newFilesOnly: Bool = true,
        _ format: DStreamGraph.FileFormat<Element>, _ site: OperatorSite
    ) -> DStream<Element> {
        let logger = components.logger
        let appName = appName
        do throws(PatternProblem) {
            var watching = FileInput.Configuration(
                pattern: try DirectoryPattern(directory), batchInterval: batchInterval,
                minimumRemember: configuration.fileStreamMinimumRemember, clock: components.clock,
                report: { logger.log(level: $0, "\(appName): \(site): \($1)") })
            watching.isRecursive = recursive
            watching.filter = filter
            watching.detection = configuration.fileStreamDetection
            watching.newFilesOnly = newFilesOnly
            return graph.fileStream(FileInput(watching), format, site)
        } catch {
            graph.record(
                StreamError(
                    .badDeclaration, "the directory cannot be watched: \(error)", site: site))
            return graph.inputStream(
                site.name, isReplayable: true, file: site.file, line: site.line
            ) { _, _ in nil }
        }
    }
}
