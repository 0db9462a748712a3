create table row_versions (
    table_name text primary key,
    value integer not null
);
insert into row_versions values ('articles', 0);

create table articles (
    id integer primary key,
    title text not null,
    content text not null,
    updated_at datetime not null default (strftime('%Y-%m-%d %H:%M:%f', 'now')),
    row_version integer not null default 0
);
create index articles_updated_at on articles (updated_at, id);
create index articles_row_version on articles (row_version);

create table article_tombstones (
    id integer primary key,
    deleted_at datetime not null,
    row_version integer not null
);

create trigger articles_inserted after insert on articles
begin
    update row_versions set value = value + 1 where table_name = 'articles';
    update articles
    set row_version = (select value from row_versions where table_name = 'articles')
    where id = new.id;
end;

-- The triggers' own update, which passes by unseen, raises the row's version to the counter and keeps its text.
create trigger articles_updated after update on articles
when not (
    new.row_version > old.row_version
    and new.row_version = (select value from row_versions where table_name = 'articles')
    and new.id = old.id
    and new.title = old.title
    and new.content = old.content
)
begin
    update row_versions set value = value + 1 where table_name = 'articles';
    update articles
    set row_version = (select value from row_versions where table_name = 'articles'),
        updated_at = case
            when new.updated_at is not old.updated_at then new.updated_at
            else strftime('%Y-%m-%d %H:%M:%f', 'now')
        end
    where id = new.id;
end;

-- An id that changes is a delete of the old one.
create trigger articles_renumbered after update of id on articles
when new.id <> old.id
begin
    update row_versions set value = value + 1 where table_name = 'articles';
    insert into article_tombstones (id, deleted_at, row_version)
    select old.id, strftime('%Y-%m-%d %H:%M:%f', 'now'), value from row_versions where table_name = 'articles'
    on conflict (id) do update set deleted_at = excluded.deleted_at, row_version = excluded.row_version;
end;

create trigger articles_deleted after delete on articles
begin
    update row_versions set value = value + 1 where table_name = 'articles';
    insert into article_tombstones (id, deleted_at, row_version)
    select old.id, strftime('%Y-%m-%d %H:%M:%f', 'now'), value from row_versions where table_name = 'articles'
    on conflict (id) do update set deleted_at = excluded.deleted_at, row_version = excluded.row_version;
end;
