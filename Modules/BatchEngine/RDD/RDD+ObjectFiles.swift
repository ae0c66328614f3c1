extension RDD {
    /// Writes the elements in binary form into a directory, one file per partition.
    ///
    /// Files are named and appear as those of ``saveAsTextFile(_:file:line:)``;
    /// ``BatchContext/objectFile(_:of:file:line:)`` reads them back. The element type needs a
    /// codec: see ``StreamCodable``.
    ///
    /// ## Durability
    /// When the call returns, files and directory have reached the disk.
    ///
    /// - Throws: ``EngineError`` with `.codecMissing` when the element type has no codec, or
    ///   another code when a partition could not be computed or written. Complete files of other
    ///   partitions may be there then; calling again replaces them.
    @inlinable
    public func saveAsObjectFile(
        _ directory: String, file: String = #fileID, line: UInt = #line
    ) async throws {
        let site = OperatorSite("saveAsObjectFile", file: file, line: line)
        let codec = try ObjectFormat.codec(of: Element.self, site)
        let run = pipe.run
        let kernel = Kernel(id: .nextDynamic(), site: site) { context, inputs, _ in
            let part = try ObjectPart(
                directory, partition: context.partition, shape: codec.shape)
            try run(context, inputs) { element in
                codec.encode(element, &part.writer)
                try part.endElement()
            }
            try part.commit()
            return []
        }
        try await write(kernel, to: directory, site)
    }
}

extension BatchContext {
    /// The elements that ``RDD/saveAsObjectFile(_:file:line:)`` wrote, one partition per file.
    ///
    /// The files are found now, and read by each action. Names that begin with `_` or `.` are
    /// passed over.
    ///
    /// - Parameter path: the directory, or one of its files.
    /// - Throws: ``EngineError`` when the type has no codec or nothing can be read at the path.
    ///   Actions throw one when a file is damaged or holds elements of another type.
    @inlinable
    public func objectFile<Element: Sendable>(
        _ path: String, of type: Element.Type = Element.self, file: String = #fileID,
        line: UInt = #line
    ) async throws -> RDD<Element> {
        let site = OperatorSite("objectFile", file: file, line: line)
        let codec = try ObjectFormat.codec(of: Element.self, site)
        let files = try await ObjectFormat.files(at: path, engine, site)
        let paths = Pipe<String>.source(site).run
        let pipe = Pipe<Element> { context, inputs, sink in
            var check = CancellationCheck(context)
            try paths(context, inputs) { path in
                let bytes = try ObjectFormat.read(path, site)
                try bytes.withUnsafeBytes { bytes in
                    var reader = ByteReader(bytes)
                    var rest = try ObjectFormat.begin(&reader, codec.shape, path, site)
                    while rest > 0 {
                        try check.next()
                        let element: Element
                        do { element = try codec.decode(&reader) } catch {
                            throw ObjectFormat.damaged(path, site, error)
                        }
                        try sink(element)
                        rest -= 1
                        if rest == 0 { rest = try ObjectFormat.next(&reader, path, site) }
                    }
                }
            }
        }
        return RDD(
            context: self, plan: .source(files.map { [.values(Values([$0]))] }), pipe: pipe)
    }
}

/// One file of elements on its way: what is written is seen by nobody before ``commit()``.
@usableFromInline
final class ObjectPart {
    private let part: TextPart
    /// Elements that wait to be written.
    @usableFromInline var writer = ByteWriter()
    private var count: UInt64 = 0

    /// Opens a file of its own for the attempt.
    @usableFromInline
    init(_ directory: String, partition: Int, shape: String) throws {
        part = try TextPart(directory, partition: partition)
        var header = ByteWriter()
        header.writeBytes(ObjectFormat.mark)
        header.writeString(shape)
        part.text += try header.takeBytes()
    }

    /// Counts the element that was written last.
    @usableFromInline
    func endElement() throws {
        count += 1
        if writer.count >= 64 << 10 { try endGroup() }
    }

    /// Writes the elements that wait, after their count.
    private func endGroup() throws {
        if let failure = writer.failure { throw failure }
        guard count > 0 else { return }
        var number = ByteWriter()
        number.writeVarint(count)
        part.text += try number.takeBytes()
        part.text += writer.bytes
        writer.removeAll()
        count = 0
        try part.write()
    }

    /// Puts the complete file in its place.
    @usableFromInline
    func commit() throws {
        try endGroup()
        part.text.append(0)
        try part.commit()
    }
}

/// The form of files of elements: a mark, the name of the elements' form, then groups of elements,
/// each after their count; the count 0 ends the file.
@usableFromInline
enum ObjectFormat {
    static let mark = Array("dstream-objects/1\n".utf8)

    @usableFromInline
    static func codec<Element>(
        of type: Element.Type, _ site: OperatorSite
    ) throws -> Codec<Element> {
        if let codec = Codec<Element>.resolve() { return codec }
        throw EngineError(
            .codecMissing,
            "\(Codec<Element>.firstTypeWithoutCodec() ?? type) has no codec; declare it "
                + "StreamCodable", site: site)
    }

    /// The files to read, in order.
    @usableFromInline
    static func files(
        at path: String, _ engine: any ExecutionEngine, _ site: OperatorSite
    ) async throws -> [String] {
        let found = Locked<[String]>([])
        try await engine.perform("\(site) from \(path)") {
            do {
                guard try FileSystem.status(path)?.isDirectory != false else {
                    return found.withLock { $0 = [path] }
                }
                let names = try FileSystem.list(path).filter {
                    !$0.hasPrefix("_") && !$0.hasPrefix(".")
                }
                found.withLock { $0 = names.map { "\(path)/\($0)" } }
            } catch {
                throw EngineError(
                    .taskFailed, "\(path) cannot be read", site: site, underlying: error)
            }
        }
        return found.withLock { $0 }
    }

    @usableFromInline
    static func read(_ path: String, _ site: OperatorSite) throws -> [UInt8] {
        do { return try FileSystem.readAll(path) } catch {
            throw failure("\(path) cannot be read", site, error)
        }
    }

    /// Reads the start of a file and the count of its first group.
    @usableFromInline
    static func begin(
        _ reader: inout ByteReader, _ shape: String, _ path: String, _ site: OperatorSite
    ) throws -> UInt64 {
        do {
            guard try reader.readBytes(count: mark.count).elementsEqual(mark) else {
                throw CodecError.invalid("the start of a file of elements")
            }
            let written = try reader.readString()
            guard written == shape else {
                throw failure(
                    "\(path) holds elements of the form \(written), not \(shape)", site, nil)
            }
        } catch let error as CodecError { throw damaged(path, site, error) }
        return try next(&reader, path, site)
    }

    /// Reads the count of the next group; 0 at the end.
    @usableFromInline
    static func next(
        _ reader: inout ByteReader, _ path: String, _ site: OperatorSite
    ) throws -> UInt64 {
        do {
            let count = try reader.readVarint()
            guard count > 0 || reader.isAtEnd else { throw CodecError.invalid("end of file") }
            try EncodedValues.check(count: count, byteCount: reader.remaining)
            return count
        } catch { throw damaged(path, site, error) }
    }

    @usableFromInline
    static func damaged(_ path: String, _ site: OperatorSite, _ error: any Error) -> any Error {
        failure("\(path) is damaged", site, error)
    }

    /// What a task throws: the operator's name must survive that it is tried again.
    private static func failure(
        _ message: String, _ site: OperatorSite, _ error: (any Error)?
    ) -> any Error {
        OperatorFailure.wrap(
            EngineError(.taskFailed, message, site: site, underlying: error), at: site)
    }
}
